/** Who sees commands: a recording, an audit. */
import type { Command } from '@concordmq/state'

/** Sees every command with its position and time (microseconds since 1970) before it is applied. */
export type CommandLog = (position: number, timeUs: number, command: Command) => void
