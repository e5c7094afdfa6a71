/**
 * Asks the nodes of a cluster, one after the other, to take this node in by its certificate (row F8), until it is in the book. It
 * signs the change that adds it to the epoch that a node shows it; what else that node says proves nothing and need not: a false
 * epoch makes a change that no other node takes.
 */
import { type KeyObject, sign } from 'node:crypto'
import { connect, type TLSSocket } from 'node:tls'
import { constantsFor, encodeReconfiguration, signedReconfigurationBytes } from '@concordmq/consensus'
import { reasonOf } from '../../errors.ts'
import type { Logger } from '../../telemetry/logger.ts'
import { type NodeCertificate, ownCertificate } from '../identity/certificates.ts'
import { describeMember, type Member, type Members, samePoint } from '../identity/members.ts'
import { bodyOf, encodeFrame, FrameReader } from '../links/frames.ts'
import { bookDigest, networkName } from '../links/hello.ts'
import { pointOfPeer } from '../links/tls-transport.ts'
import { ADMISSION_ALPN, HANDSHAKE_TIMEOUT_MS, splitAddress } from '../links/transport.ts'
import {
  ADMISSION_BYTES_MAX,
  ADMISSION_DEADLINE_MS,
  AdmissionFrame,
  decodeOffer,
  decodeVerdict,
  type Offer,
  type Verdict,
} from './frames.ts'

/** Between two nodes that are asked, ms. */
const PAUSE_MS_MIN = 1000
const PAUSE_MS_MAX = 15_000
/** How long a node that has taken the application is given, ms. */
const LIKELY_MS = 5000

export interface Application {
  /** DER: the own certificate first, the root left out. */
  readonly chain: readonly Uint8Array[]
  /** Where the other nodes reach this one, `HOST:PORT`. */
  readonly address: string
}

export interface ApplicantOptions extends Application {
  /** As this node knows them; its own index is -1 until it is taken in. */
  readonly members: () => Members
  readonly logger: Logger
}

interface Conversation {
  /** The application is on its way. */
  readonly applied: () => void
  readonly judged: (verdict: Verdict) => void
}

export class Applicant {
  readonly #o: ApplicantOptions
  readonly #stopped = new AbortController()
  /** What was said last of each node, so that it is said once. */
  readonly #said = new Map<string, string>()
  /** Ends a pause. */
  #woken: (() => void) | undefined

  constructor(options: ApplicantOptions) {
    this.#o = options
  }

  /** Asks until this node is in the book; resolves then, or when it is stopped. */
  async run(): Promise<void> {
    const { members, logger } = this.#o
    const { self, privateKey } = members()
    const identity = await ownCertificate(self, privateKey)
    for (let tries = 0; this.#isOutside(); tries++) {
      const { all } = members()
      const isLikely = await this.#ask(all[tries % all.length] as Member, identity)
      const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.floor(tries / all.length))
      await this.#pause(isLikely ? LIKELY_MS : pauseMs)
    }
    if (this.#stopped.signal.aborted) return
    const message = 'This node was taken into the cluster by its certificate'
    logger.info({ event: 'cluster.admission', keyId: self.keyId, epoch: members().epoch.number }, message)
  }

  /** The book changed: perhaps it is for this node. */
  began(): void {
    this.#woken?.()
  }

  stop(): void {
    this.#stopped.abort()
    this.#woken?.()
  }

  #isOutside(): boolean {
    return !this.#stopped.signal.aborted && this.#o.members().self.index < 0
  }

  async #pause(ms: number): Promise<void> {
    if (!this.#isOutside()) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      timer.unref()
      this.#woken = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#woken = undefined
  }

  /** Whether the node has taken the application, as far as can be seen: the book that follows is on its way then. */
  async #ask(member: Member, identity: NodeCertificate): Promise<boolean> {
    try {
      const { taken, reason } = await this.#applyTo(member, identity)
      if (!taken) this.#say(member, `${describeMember(member)} does not take this node in: ${reason}`)
      return taken
    } catch (error) {
      this.#say(member, `Cannot ask ${describeMember(member)} to take this node in: ${reasonOf(error)}`)
      return false
    }
  }

  #say(member: Member, message: string): void {
    if (!this.#isOutside() || this.#said.get(member.keyId) === message) return
    this.#said.set(member.keyId, message)
    this.#o.logger.warn({ event: 'cluster.admission.refused', node: member.index, keyId: member.keyId }, message)
  }

  #applyTo(member: Member, identity: NodeCertificate): Promise<Verdict> {
    const { host, port } = splitAddress(member.address)
    const socket = connect({
      cert: identity.certificate,
      key: identity.privateKey,
      minVersion: 'TLSv1.3',
      host,
      port,
      ALPNProtocols: [ADMISSION_ALPN],
      // The key decides, not an authority: it is that of the book.
      rejectUnauthorized: false,
    })
    return new Promise((resolve, reject) => {
      let applied = false
      const fail = (error: Error): void => {
        clearTimeout(timer)
        socket.destroy()
        reject(error)
      }
      let timer = setTimeout(() => fail(new Error('it does not answer in time')), HANDSHAKE_TIMEOUT_MS)
      this.#stopped.signal.addEventListener('abort', () => fail(new Error('no longer wanted')), { once: true })
      socket.on('error', (error: NodeJS.ErrnoException) => fail(explained(error)))
      socket.once('close', () => {
        // A node opens its ports anew when its book changes, and this one may be why.
        if (applied) resolve({ taken: true, reason: '' })
        else fail(new Error('it closed the connection'))
      })
      socket.once('secureConnect', () => {
        const point = pointOfPeer(socket)
        if (point === undefined || !samePoint(point, member.point)) return fail(new Error('there is another key'))
        clearTimeout(timer)
        timer = setTimeout(() => fail(new Error('it does not answer in time')), ADMISSION_DEADLINE_MS)
      })
      this.#converse(socket, {
        applied() {
          applied = true
        },
        judged(verdict) {
          clearTimeout(timer)
          resolve(verdict)
          socket.destroy()
        },
      })
    })
  }

  /** Reads until there is a verdict, of the node or of this one about what it was offered. */
  #converse(socket: TLSSocket, { applied, judged }: Conversation): void {
    const reader = new FrameReader(ADMISSION_BYTES_MAX)
    socket.on('data', (chunk: Uint8Array) => {
      const fault = reader.push(chunk, (frame) => {
        if (frame[0] === AdmissionFrame.verdict) judged(decodeVerdict(bodyOf(frame)))
        else if (frame[0] === AdmissionFrame.offer) {
          const offer = decodeOffer(bodyOf(frame))
          const problem = offer === undefined ? 'what it offers cannot be read' : this.#problemOf(offer)
          if (problem !== undefined) judged({ taken: false, reason: problem })
          else {
            socket.write(this.#application(offer as Offer))
            applied()
          }
        } else socket.destroy()
        return !socket.destroyed
      })
      if (fault !== undefined) socket.destroy(new Error(fault))
    })
  }

  #problemOf({ networkId, settingsDigest, epochHash, epoch }: Offer): string | undefined {
    const { members } = this.#o
    const own = members()
    if (Buffer.compare(networkId, own.epoch.networkId) !== 0)
      return `it is in network ${networkName(networkId)}, this node in ${networkName(own.epoch.networkId)}`
    if (epoch.number === own.epoch.number && Buffer.compare(epochHash, own.epoch.hash) !== 0)
      return `its address book or its root certificate differs: digest ${bookDigest(epochHash)}, here ${bookDigest(own.epoch.hash)}`
    if (Buffer.compare(settingsDigest, own.settingsDigest) !== 0)
      return `its settings of the machine differ: digest ${bookDigest(settingsDigest)}, here ${bookDigest(own.settingsDigest)}`
    return undefined
  }

  #application({ epoch, epochHash }: Offer): Uint8Array {
    const { members, chain, address } = this.#o
    const { self, privateKey } = members()
    const nodes = [...epoch.nodes, { publicKey: self.point, address }]
    const content = { number: epoch.number + 1, nodes, constants: constantsFor(nodes.length) }
    const signature = signatureOf(privateKey, signedReconfigurationBytes({ hash: epochHash }, content))
    const change = encodeReconfiguration({ ...content, signatures: [], admission: { chain, signature } })
    return encodeFrame(AdmissionFrame.application, change)
  }
}

function signatureOf(key: KeyObject, bytes: Uint8Array): Uint8Array {
  return sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })
}

function explained(error: NodeJS.ErrnoException): Error {
  return /no application protocol/i.test(error.message) || error.code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL'
    ? new Error('it takes no nodes in by certificate (--cluster-accept-peer-with-cert)')
    : error
}
