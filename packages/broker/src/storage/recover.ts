/** The machine that a store and a log remember. */
import { Machine, type MachineSettings, Recovery } from '@concordmq/state'
import { ConcordError } from '../errors.ts'
import type { Store } from '../model/store.ts'
import { readPayload } from './disk-journal.ts'

export interface Recovered {
  readonly machine: Machine
  /** Positions up to this one may have been used. */
  readonly reserved: number
}

/** `groups`: of the log, in their order. Rejects with `CMQ_DATA_DAMAGED`. */
export async function recover(
  store: Pick<Store, 'records' | 'content'>,
  groups: readonly Uint8Array[],
  { directory, settings }: { readonly directory: string | undefined; readonly settings: MachineSettings },
): Promise<Recovered> {
  const recovery = new Recovery(settings)
  for await (const batch of store.records()) for (const [key, value] of batch) recovery.record(key, value)
  let reserved = 0
  for (const [i, group] of groups.entries()) {
    const payload = readPayload(group)
    reserved = Math.max(reserved, payload.reserved)
    const problem = payload.delta === undefined ? undefined : recovery.group(payload.delta)
    if (problem !== undefined) throw damaged(directory, `group ${i + 1} of the log: ${problem}`)
  }
  const wanted = recovery.prepare()
  if ('malformed' in wanted) throw damaged(directory, wanted.malformed)
  for (const chunk of wanted) recovery.content(chunk, await store.content(chunk))
  const machine = Machine.recover(recovery, settings)
  if (!(machine instanceof Machine)) throw damaged(directory, machine.malformed)
  return { machine, reserved }
}

export function damaged(directory: string | undefined, detail: string): ConcordError {
  return new ConcordError('CMQ_DATA_DAMAGED', `Cannot read the data in ${directory ?? 'the session store'}: ${detail}`)
}
