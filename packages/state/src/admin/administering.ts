/**
 * How a document of operators comes into force: at its place in the order, on all nodes or on none. One that is not later than the
 * one in force changes nothing, and neither does one that too few operators signed; both are counted. Versions are looked at first:
 * they cost nothing, and signatures do.
 */
import type { AdminCommand } from '../commands/commands.ts'
import type { Effects, Outcome } from '../effects.ts'
import type { State } from '../state.ts'
import { AdminRecord, adminContent } from './admin-document.ts'

export function administer(state: State, { document, signatures }: AdminCommand, effects: Effects): Outcome {
  const { admin, clock, counters, records, judge } = state
  const inForce = admin.get(document.subject)
  const why =
    inForce !== undefined && document.version <= inForce.document.version
      ? `version ${inForce.document.version} is in force, and version ${document.version} is not later`
      : judge === undefined
        ? 'nobody may: there are no operators here'
        : judge(adminContent(document), signatures)
  if (why !== undefined) {
    counters.adminRefused++
    return { type: 'rejected', detail: why }
  }
  const { position, timeUs } = clock
  // What comes from the order lies in the bytes of a whole bundle.
  const text = document.text === undefined ? undefined : new Uint8Array(document.text)
  const own = {
    document: { ...document, text },
    signatures: signatures.map(({ operator, signature }) => ({ operator, signature: new Uint8Array(signature) })),
  }
  if (inForce === undefined) {
    const record = new AdminRecord({ ...own, position, timeUs })
    admin.set(document.subject, record)
    records.add(record)
  } else {
    records.touch(inForce)
    Object.assign(inForce, { ...own, position, timeUs })
  }
  effects.administered?.(document.subject)
  return { type: 'done' }
}
