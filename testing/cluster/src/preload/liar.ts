/**
 * Preloaded into a node: a test build of its driver that tells the lies named in `CONCORDMQ_TEST_LIES`, with the node's own key. What
 * is honest in it is the product; the lies stand between engine and links, and between broker and engine.
 *
 *   fork       two blocks for one round, one for each half of the others
 *   signature  each block also with a signature that does not hold
 *   replay     blocks and answers of before, again and again
 *   silence    node 0 is told nothing
 *   garbage    messages that are no commands, and commands that are none
 *   foreign    commands for clients of the other nodes, with their true connection identifiers
 *   flood      questions that are dear to answer, a thousand a second
 */
import { hash, randomBytes, sign } from 'node:crypto'
import {
  type Block,
  blockMessages,
  Domain,
  decodeBlock,
  decodeFrame,
  encodeBlock,
  encodeFrame,
  makeBlock,
  signedBlockBytes,
} from '@concordmq/consensus'
import { BundleWriter, type Command } from '@concordmq/state'
import type { Members } from '../../../../packages/broker/src/cluster/identity/members.ts'
import type { Links } from '../../../../packages/broker/src/cluster/links/links.ts'
import type { OrderedUnit } from '../../../../packages/broker/src/model/ordered-log.ts'
import { changeSource } from './change-source.ts'

const lies = new Set((process.env['CONCORDMQ_TEST_LIES'] ?? '').split(','))

type Frames = Pick<Links, 'send' | 'flush' | 'drop'>

const BLOCK = 3
const BUNDLE_HEAD_BYTES = 17
const everyMs = 100
/** Of before, to be sent again; and how many at once. */
const keptMax = 200
const replayedAtOnce = 20
const askedAtOnce = 100

class Liar {
  readonly #kept: Uint8Array[] = []
  /** Lives of the nodes, as their bundles say. */
  readonly #incarnations = new Map<number, number>()
  #links: Frames | undefined
  #members: (() => Members) | undefined
  #submit: ((bytes: Uint8Array) => void) | undefined
  #forks = 0

  /** In place of the links of a node. */
  between(links: Links, members: () => Members, submit: (bytes: Uint8Array) => void): Frames {
    this.#links = links
    this.#members = members
    this.#submit = submit
    setInterval(() => this.#bother(), everyMs).unref()
    return {
      send: (to, frame) => this.#send(to, frame),
      flush: () => links.flush(),
      drop: (peer, why) => links.drop(peer, why),
    }
  }

  /** What is ordered tells whose commands to forge. */
  ordered({ messages }: OrderedUnit): void {
    for (const { author, bytes } of messages) {
      if (bytes.length < BUNDLE_HEAD_BYTES || bytes[0] !== 1) continue
      this.#incarnations.set(author, Number(Buffer.from(bytes).readBigUInt64BE(1)))
    }
  }

  /** In place of a bundle of this node's own. */
  bundle(bytes: Uint8Array): Uint8Array {
    const parts = [bytes]
    if (lies.has('foreign')) parts.push(this.#forgedItems())
    // An item of no kind, and a command that is cut short.
    if (lies.has('garbage')) parts.push(Uint8Array.of(9, 0, 0, 0, 1, 7), Uint8Array.of(0, 0, 0, 0, 2, 3, 0))
    return Buffer.concat(parts)
  }

  #forgedItems(): Uint8Array {
    const writer = new BundleWriter()
    writer.begin(0, 0)
    for (const [node, incarnation] of this.#incarnations) {
      writer.command({ type: 'start', node, incarnation: incarnation + 1 })
      for (let counter = 0; counter < 4; counter++) {
        const ofClient = { connection: { node, incarnation, counter }, clientId: `subscriber-${node}` }
        const commands: readonly Command[] = [
          { type: 'unsubscribe', ...ofClient, filters: ['order/#'] },
          { type: 'acknowledge', ...ofClient, settlements: [{ q: 0, count: 10_000, outcome: 'completed' }] },
          { type: 'disconnect', ...ofClient, reasonCode: 0, sessionExpirySeconds: 0, will: 'publish' },
        ]
        for (const command of commands) writer.command(command)
      }
    }
    return writer.take().subarray(BUNDLE_HEAD_BYTES)
  }

  #send(to: number | 'all', frame: Uint8Array): void {
    const links = this.#links as Frames
    if (frame[0] === BLOCK || to !== 'all') {
      this.#kept.push(frame.slice())
      if (this.#kept.length > keptMax) this.#kept.shift()
    }
    const others = (this.#members as () => Members)().all.flatMap(({ index }) => (index === this.#self ? [] : [index]))
    const told = (to === 'all' ? others : [to]).filter((peer) => !(lies.has('silence') && peer === 0))
    const block = frame[0] === BLOCK && to === 'all' ? this.#decode(frame) : undefined
    if (block !== undefined && lies.has('signature')) {
      const forged = frame.slice()
      const at = forged.length - block.body.length - 1
      forged[at] = (forged[at] ?? 0) ^ 1
      for (const peer of told) links.send(peer, forged)
    }
    const twin = block !== undefined && block.messageCount > 0 && lies.has('fork') ? this.#twinOf(block) : undefined
    for (const [i, peer] of told.entries()) links.send(peer, twin !== undefined && i % 2 === 1 ? twin : frame)
  }

  get #self(): number {
    return this.#members?.().self.index ?? -1
  }

  #decode(frame: Uint8Array): Block | undefined {
    const { epoch } = (this.#members as () => Members)()
    const decoded = decodeFrame(frame, epoch.constants.blockBytesMax)
    if (!decoded.ok || decoded.value.type !== 'block') return undefined
    const block = decodeBlock(decoded.value.bytes, epoch, this.#domain)
    return block.ok ? block.value : undefined
  }

  get #domain(): Domain {
    const { epoch } = (this.#members as () => Members)()
    return new Domain(epoch.hash, { sha256: (bytes) => hash('sha256', bytes, 'buffer') })
  }

  /** The same block with another time: as well signed, and another one. */
  #twinOf(block: Block): Uint8Array {
    const { epoch, privateKey } = (this.#members as () => Members)()
    const { author, round, tsUs, references } = block
    const content = { author, round, tsUs: tsUs + 1, references, messages: blockMessages(block) }
    const twin = makeBlock(content, epoch, this.#domain, (digest) =>
      sign('sha256', signedBlockBytes(digest), { key: privateKey, dsaEncoding: 'ieee-p1363' }),
    )
    if (this.#forks++ === 0) console.error(`liar: forks in round ${round}`)
    return encodeFrame({ type: 'block', bytes: encodeBlock(twin) })
  }

  #bother(): void {
    const links = this.#links as Frames
    if (lies.has('garbage')) this.#submit?.(randomBytes(200))
    if (lies.has('replay')) {
      for (let i = 0; i < replayedAtOnce && this.#kept.length > 0; i++)
        links.send('all', this.#kept[(i * 7919) % this.#kept.length] as Uint8Array)
    }
    if (lies.has('flood')) {
      for (let i = 0; i < askedAtOnce; i++) {
        links.send('all', encodeFrame({ type: 'range', request: i, round: 1 }))
        links.send('all', encodeFrame({ type: 'snapshotRequest', hash: randomBytes(32), chunk: 0 }))
        const names = [{ author: 0, round: 1 + i, digest: randomBytes(32) }]
        links.send('all', encodeFrame({ type: 'fetch', request: i, names }))
        links.send('all', encodeFrame({ type: 'certificateRequest', step: 0 }))
      }
    }
    links.flush()
  }
}

Object.assign(globalThis, { liar: new Liar() })

changeSource({
  file: 'cluster/consensus.ts',
  from: 'driver.links = links',
  to: `driver.links = globalThis.liar.between(links, () => this.#members, (bytes) => this.#submit(bytes, MessageKind.payload, {}))`,
})
changeSource({
  file: 'cluster/consensus.ts',
  from: 'this.#submit(bytes, MessageKind.payload, { done, kept })',
  to: 'this.#submit(globalThis.liar.bundle(bytes), MessageKind.payload, { done, kept })',
})
changeSource({
  file: 'ordering/replica.ts',
  from: 'this.#o.sequencer.ordered(unit)',
  to: `globalThis.liar.ordered(unit)
    this.#o.sequencer.ordered(unit)`,
})
