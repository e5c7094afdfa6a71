/** Lets everybody in, whatever they say of themselves (row C9). For tests and for what nobody else can reach. */
import type { Hooks } from './hooks.ts'

export const allowAll: Hooks = { name: 'allowAll', authenticate: () => true }
