/**
 * What a newcomer with a certificate and a node of the cluster say to each other, once, over TLS on TCP. It is no
 * link: the newcomer is not in the book, and the node learns nothing from it but one application.
 *
 *   newcomer                         ◀─ OFFER: the epoch in force, and what all nodes share
 *   APPLICATION: the change that adds it, signed ─▶
 *                                    ◀─ VERDICT
 */
import { decodeReconfiguration, type Epoch, encodeReconfiguration, type Reconfiguration } from '@concordmq/consensus'
import { encodeFrame } from '../links/frames.ts'
import { printable } from '../links/hello.ts'

/** Of the longest frame: five certificates and a book of 31 nodes. */
export const ADMISSION_BYTES_MAX = 64 * 1024
/** From the handshake to the verdict, which waits for the order. */
export const ADMISSION_DEADLINE_MS = 30_000

export const AdmissionFrame = { offer: 24, application: 25, verdict: 26 } as const

const REASON_BYTES_MAX = 500

/** What a node tells a newcomer about the cluster. */
export interface Offer {
  readonly networkId: Uint8Array
  readonly settingsDigest: Uint8Array
  readonly epochHash: Uint8Array
  /** Number, book and constants of the epoch in force. */
  readonly epoch: Pick<Reconfiguration, 'number' | 'nodes' | 'constants'>
}

export interface Verdict {
  readonly taken: boolean
  /** For people: why not. */
  readonly reason: string
}

export function encodeOffer(epoch: Epoch, settingsDigest: Uint8Array): Uint8Array {
  const { networkId, hash, number, nodes, constants } = epoch
  const record = encodeReconfiguration({ number, nodes, constants, signatures: [] })
  return encodeFrame(
    AdmissionFrame.offer,
    Buffer.concat([Uint8Array.of(networkId.length), networkId, settingsDigest, hash, record]),
  )
}

/** Undefined: malformed. */
export function decodeOffer(body: Uint8Array): Offer | undefined {
  const afterNetwork = 1 + (body[0] ?? 0)
  const epoch = decodeReconfiguration(body.subarray(afterNetwork + 64))
  if (epoch === undefined) return undefined
  return {
    networkId: body.slice(1, afterNetwork),
    settingsDigest: body.slice(afterNetwork, afterNetwork + 32),
    epochHash: body.slice(afterNetwork + 32, afterNetwork + 64),
    epoch,
  }
}

export function encodeVerdict({ taken, reason }: Verdict): Uint8Array {
  const text = Buffer.from(reason, 'latin1').subarray(0, REASON_BYTES_MAX)
  return encodeFrame(AdmissionFrame.verdict, Buffer.concat([Uint8Array.of(taken ? 1 : 0), text]))
}

export function decodeVerdict(body: Uint8Array): Verdict {
  return { taken: body[0] === 1, reason: printable(body.subarray(1, 1 + REASON_BYTES_MAX)) }
}
