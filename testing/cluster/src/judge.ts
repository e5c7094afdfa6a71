/**
 * What must hold of what subscribers wrote down: one order, nothing lost that was promised, nothing twice at QoS 2, each
 * publisher's messages in its own order. It reads lists only, so it is tested with lists.
 */
import { createHash } from 'node:crypto'

/** What a publisher sent. */
export interface Sent {
  readonly name: string
  /** QoS of each message, by number. */
  readonly sent: readonly number[]
  /** Numbers that were acknowledged. */
  readonly acknowledged: ReadonlySet<number>
}

/** What a subscriber wrote down: `TOPIC NAME:NUMBER`. */
export interface Seen {
  readonly name: string
  readonly messages: readonly string[]
}

export interface Rules {
  /** Every message must have come exactly once, QoS 0 too: nothing was done to the nodes. */
  readonly undisturbed: boolean
}

/** In words; empty when all is well. */
export function judge(publishers: readonly Sent[], subscribers: readonly Seen[], rules: Rules): string[] {
  const [first, ...others] = subscribers
  if (first === undefined) return ['Nobody subscribed']
  const violations = others.flatMap((other) => differenceOf(first, other))
  for (const subscriber of violations.length > 0 ? subscribers : [first]) {
    for (const publisher of publishers) violations.push(...missed(publisher, subscriber, rules))
  }
  return violations
}

/** SHA-256 over all messages in their order. */
export function orderHash(messages: readonly string[]): string {
  const hash = createHash('sha256')
  for (const message of messages) hash.update(message).update('\n')
  return hash.digest('hex')
}

function differenceOf(one: Seen, other: Seen): string[] {
  if (orderHash(one.messages) === orderHash(other.messages)) return []
  const at = one.messages.findIndex((message, i) => message !== other.messages[i])
  const from = at < 0 ? one.messages.length : at
  const near = ({ name, messages }: Seen) =>
    `${name} has ${messages.slice(from, from + 3).join(', ')} (of ${messages.length})`
  return [`The order differs at ${from}: ${near(one)}; ${near(other)}`]
}

function missed({ name, sent, acknowledged }: Sent, { name: by, messages }: Seen, { undisturbed }: Rules): string[] {
  const violations: string[] = []
  const times = new Array<number>(sent.length).fill(0)
  let last = -1
  let lastExactlyOnce = -1
  const suffix = ` ${name}:`
  for (const message of messages) {
    const at = message.indexOf(suffix)
    if (at < 0) continue
    const number = Number(message.slice(at + suffix.length))
    times[number] = (times[number] ?? 0) + 1
    if (times[number] !== 1) continue
    // Of a connection that is over, what waited for its place still gets it, but not at QoS 2: that is sent again, and comes behind.
    const isAgain = !undisturbed && sent[number] === 2
    const before = isAgain ? lastExactlyOnce : last
    if (number < before) violations.push(`${by}: ${name}:${number} came after ${before}`)
    last = Math.max(last, number)
    if (sent[number] === 2) lastExactlyOnce = Math.max(lastExactlyOnce, number)
  }
  for (const [number, qos] of sent.entries()) {
    const count = times[number] ?? 0
    if (count === 0 && (undisturbed || acknowledged.has(number))) violations.push(`${by}: ${name}:${number} was lost`)
    if (count > 1 && (undisturbed || qos !== 1))
      violations.push(`${by}: ${name}:${number} came ${count} times at QoS ${qos}`)
  }
  return violations.length > 10 ? [...violations.slice(0, 10), `… and ${violations.length - 10} more`] : violations
}
