/**
 * Takes the applications of newcomers that an authority certified (row F8). What they ask for becomes a change of the book like an
 * operator's: all nodes judge it again at its place of the order, so a doorkeeper that lies lets nobody in. What cannot succeed is
 * refused here, before it costs a message of the log; either way the log says who it was.
 */
import { decodeReconfiguration, type Epoch } from '@concordmq/consensus'
import { ConcordError, reasonOf } from '../../errors.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { samePoint } from '../identity/members.ts'
import { keyIdOfPoint } from '../identity/node-keys.ts'
import { bodyOf, FrameReader } from '../links/frames.ts'
import type { Channel } from '../links/transport.ts'
import { ADMISSION_BYTES_MAX, ADMISSION_DEADLINE_MS, AdmissionFrame, encodeOffer, encodeVerdict } from './frames.ts'

/** Newcomers at the door at once; above, they are closed unheard. */
const NEWCOMERS_MAX = 8
/** How long a verdict may take to arrive before the connection is closed. */
const FAREWELL_MS = 1000

export interface DoorkeeperOptions {
  readonly epoch: () => Epoch
  readonly settingsDigest: Uint8Array
  /** Has a change ordered; resolves when its epoch began. */
  readonly reconfigure: (change: Uint8Array) => Promise<Epoch>
  readonly logger: Logger
}

export class Doorkeeper {
  readonly #o: DoorkeeperOptions
  readonly #present = new Set<Channel>()

  constructor(options: DoorkeeperOptions) {
    this.#o = options
  }

  /** A newcomer came in, whose key TLS has proven. */
  receive(channel: Channel): void {
    if (this.#present.size >= NEWCOMERS_MAX) return channel.destroy()
    this.#present.add(channel)
    const { stream } = channel
    const reader = new FrameReader(ADMISSION_BYTES_MAX)
    const deadline = setTimeout(() => channel.destroy(), ADMISSION_DEADLINE_MS)
    stream.on('error', () => channel.destroy())
    stream.on('close', () => {
      clearTimeout(deadline)
      this.#present.delete(channel)
    })
    let asked = false
    stream.on('data', (chunk: Uint8Array) => {
      const fault = reader.push(chunk, (frame) => {
        if (asked || frame[0] !== AdmissionFrame.application) channel.destroy()
        else void this.#judge(channel, Uint8Array.from(bodyOf(frame)))
        asked = true
        return !stream.destroyed
      })
      if (fault !== undefined) channel.destroy()
    })
    stream.write(encodeOffer(this.#o.epoch(), this.#o.settingsDigest))
  }

  /** Nobody is heard any more. */
  close(): void {
    for (const channel of this.#present) channel.destroy()
  }

  async #judge(channel: Channel, application: Uint8Array): Promise<void> {
    const keyId = keyIdOfPoint(channel.point)
    const newcomer = decodeReconfiguration(application)?.nodes.at(-1)
    const address = newcomer?.address ?? '?'
    const fields = { keyId, address, remote: channel.remote }
    // It does not know yet that it was taken in, or no more: the book is on its way to it.
    if (this.#o.epoch().nodes.some(({ publicKey }) => samePoint(publicKey, channel.point)))
      return answer(channel, { taken: true, reason: '' })
    try {
      if (newcomer === undefined || !samePoint(newcomer.publicKey, channel.point))
        throw new ConcordError('CMQ_CLUSTER_CHANGE', 'Cannot change the cluster: it does not apply for its own key')
      const { number, nodes } = await this.#o.reconfigure(application)
      this.#o.logger.info(
        { event: 'cluster.admitted', ...fields, epoch: number },
        `Took in ${describe(keyId, address)} by its certificate: epoch ${number} has ${nodes.length} nodes`,
      )
      answer(channel, { taken: true, reason: '' })
    } catch (error) {
      const reason = plain(error)
      this.#o.logger.warn(
        { event: 'cluster.not_admitted', ...fields, reason },
        `Did not take in ${describe(keyId, address)}: ${reason}`,
      )
      answer(channel, { taken: false, reason })
    }
  }
}

function describe(keyId: string, address: string): string {
  return `the node ${keyId} (${address})`
}

/** The reason alone, without what operators would do about it. */
function plain(error: unknown): string {
  const [what = ''] = reasonOf(error).split('; ')
  return what.replace(/^Cannot change the cluster: /, '')
}

function answer(channel: Channel, verdict: { readonly taken: boolean; readonly reason: string }): void {
  channel.stream.end(encodeVerdict(verdict))
  setTimeout(() => channel.destroy(), FAREWELL_MS).unref()
}
