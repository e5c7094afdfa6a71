/** What is in a run of PUBLISH packets: its messages one by one, and what their properties ask for. */
import { Buffer } from 'node:buffer'
import { decodeProperties, isRefusal, type Properties, type PublishRun } from '@concordmq/protocol'
import type { Message, PacketsForm } from '@concordmq/state'
import { messageOf } from '../sessions/session-driver.ts'

/** The user property by which a publisher asks for one message to be sealed. */
const SEALED_MARK = 'concord-sealed'

/** Message `i` of a run, with its topic as text; `expiryMax`: seconds, 0: no limit. */
export function messageIn(
  run: PublishRun,
  { topic, publisher, expiryMax }: { readonly topic: string; readonly publisher: string; readonly expiryMax: number },
  i = 0,
): Message {
  let properties: Properties | undefined
  if (run.hasProperties) {
    const { propertiesStart, propertiesEnd } = run.scan
    // A copy: correlation data would otherwise keep the read buffer alive.
    const own = new Uint8Array(run.buf.subarray(propertiesStart, propertiesEnd))
    const decoded = decodeProperties(own, 0, own.length, 'publish')
    if (!isRefusal(decoded)) properties = decoded
  }
  return messageOf(
    { topic, payload: run.copyPayload(i), qos: run.qos, retain: run.retain },
    properties,
    publisher,
    expiryMax,
  )
}

/** What the bytes of a run of several packets are, for whoever sends them on; undefined: not what another client may get. */
export function packetsForm({ qos, dup, version, buf, topicBuf }: PublishRun): PacketsForm | undefined {
  return qos === 0 || dup || topicBuf !== buf ? undefined : { qos, v5: version === 5 }
}

/** Calls `visit` with each packet of the run as a run of its own. */
export function eachMessage(run: PublishRun, visit: (single: PublishRun) => void): void {
  if (run.count === 1) {
    visit(run)
    return
  }
  const { start, end, count } = run
  const heads = run.heads.slice(0, count)
  const ids = run.ids.slice(0, count)
  const payloads = run.payloads.slice(0, count)
  for (let i = 0; i < count; i++) {
    run.start = heads[i] as number
    run.end = i + 1 < count ? (heads[i + 1] as number) : end
    run.count = 1
    run.heads[0] = heads[i] as number
    run.ids[0] = ids[i] as number
    run.payloads[0] = payloads[i] as number
    visit(run)
  }
  run.start = start
  run.end = end
  // Whoever comes after gets the run as it was: other subscribers, and whoever counts what was taken.
  run.count = count
  run.heads[0] = heads[0] as number
  run.ids[0] = ids[0] as number
  run.payloads[0] = payloads[0] as number
}

/** Whether the publisher asks for its message to be sealed. */
export function asksForSealing(run: PublishRun): boolean {
  if (!run.hasProperties) return false
  const { propertiesStart, propertiesEnd } = run.scan
  const bytes = run.buf.subarray(propertiesStart, propertiesEnd)
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(SEALED_MARK)) return false
  const properties = decodeProperties(bytes, 0, bytes.length, 'publish')
  return !isRefusal(properties) && hasSealedMark(properties)
}

export function hasSealedMark(properties: Properties | undefined): boolean {
  return properties?.userProperties?.some(([name, value]) => name === SEALED_MARK && value === '1') === true
}
