/**
 * One node of a cluster: the engine with its disk, its links and its clock, as the ordered log that the broker works with
 * (`model/ordered-log.ts`). It reads like a table of contents of the folder.
 */
import { createPublicKey, type KeyObject, randomBytes, randomInt } from 'node:crypto'
import { join } from 'node:path'
import {
  type Cryptography,
  Engine,
  type Epoch,
  keysOfLinks,
  type LogProof,
  MessageKind,
  type Status,
  type WalRecord,
} from '@concordmq/consensus'
import type { Judge } from '@concordmq/state'
import { ConcordError, invariant, reasonOf } from '../errors.ts'
import type { Files } from '../model/files.ts'
import type { OrderedApplication, OrderedLog, OrderedLogNode, Placement } from '../model/ordered-log.ts'
import { consensusDirectory, proofsDirectory } from '../storage/cluster-directory.ts'
import type { Logger } from '../telemetry/logger.ts'
import { Applicant, type Application } from './admission/applicant.ts'
import { Doorkeeper } from './admission/doorkeeper.ts'
import { Changes } from './host/changes.ts'
import { nodeCryptography, Verifier } from './host/cryptography.ts'
import { claimDirectory, type DirectoryClaim, markUsed, releaseDirectory } from './host/directory.ts'
import { Driver, NOT_SUBMITTED, type Submission } from './host/driver.ts'
import { ProofFiles } from './host/proof-files.ts'
import { Proofs } from './host/proofs.ts'
import { encodeRemoved, provenRemoval } from './host/removal.ts'
import { seal } from './host/sealed-shares.ts'
import { type OpenedWal, Wal } from './host/wal.ts'
import { WallClock } from './host/wall-clock.ts'
import { type Members, type MembersOptions, membersOf } from './identity/members.ts'
import { type LinkFigures, Links } from './links/links.ts'
import { openTransports, type TransportChoice } from './links/open-transports.ts'
import { RelayLine } from './links/relay-line.ts'
import { operatorsJudge } from './operators.ts'

export interface ConsensusOptions {
  /** The first epoch of the network, as the address book makes it. */
  readonly genesis: Epoch
  readonly privateKey: KeyObject
  /** Where the consensus log lies; made if it is missing. */
  readonly directory: string
  /** `os`: a block leaves when the operating system has it; the loss of power is then treated as the loss of the disk. */
  readonly durability: 'fsync' | 'os'
  readonly files: Files
  readonly transport: TransportChoice
  /** Where nodes are listened to. */
  readonly host: string
  readonly port: number
  /** Digest of the settings that all nodes must share. */
  readonly settingsDigest: Uint8Array
  /** What it is the digest of, to name differences. Default: only digests are named. */
  readonly settingsText?: string
  readonly programVersion: string
  /** Bytes of the log on disk for proofs of old positions. Default: 0, none. */
  readonly proofBytesMax?: number
  /** The key need not be in the book: the node waits to be taken in. */
  readonly joining?: boolean
  /** Operators are about to take it in: that it was taken out before is no reason not to start. */
  readonly awaited?: boolean
  /** Judges certificates by the roots of the network. Default: nobody is taken in by one. */
  readonly certifies?: Cryptography['certifies']
  /** Newcomers may ask this node to be taken in by their certificates. */
  readonly admits?: boolean
  /** With what this node asks to be taken in. */
  readonly application?: Application
  readonly logger: Logger
  /** An epoch began, the first one included. */
  readonly onEpoch?: (epoch: Epoch) => void
  /** The node cannot go on, and has stopped. */
  readonly onFailure: (error: Error) => void
}

/** How the cluster stands, as seen from this node. */
export interface ClusterFigures {
  readonly node: number
  readonly transports: readonly string[]
  readonly addresses: readonly string[]
  readonly status: Status
  readonly links: readonly LinkFigures[]
}

/** What a frame is longer than the block in it, at most (section 16). */
const FRAME_OVERHEAD_BYTES = 1024

/** How long a node that was taken out still serves those who have not seen the end of the epoch. */
const LEAVING_MS = 3000

const beforeStart: Omit<Status, 'mode'> = {
  epoch: 0,
  round: 0,
  nextStep: 0,
  position: 0,
  consensusUs: 0,
  checkpointStep: 0,
  connected: 0,
  jailed: 0,
  demoted: 0,
  fairCuts: 0,
  fairLate: 0,
  queuedMessages: 0,
  queuedBytes: 0,
}

interface Opened {
  readonly members: Members
  readonly claim: DirectoryClaim
  readonly opened: OpenedWal
  readonly proofFiles: ProofFiles | undefined
  readonly used: boolean
  readonly doubtful: boolean | 'unlessNew'
}

export class Consensus implements OrderedLog {
  readonly #o: ConsensusOptions
  readonly #claim: DirectoryClaim
  readonly #wal: Wal
  /** What the log held at the start, until the engine has it. */
  #records: Iterable<WalRecord>
  /** The end of the log may have been lost; `unlessNew`: there is none, which may be because all of it was. */
  readonly #doubtful: boolean | 'unlessNew'
  readonly #clock = new WallClock()
  readonly #verifier = new Verifier()
  readonly #proofs: Proofs
  readonly #changes: Changes
  /** Messages beside the log. */
  readonly relay = new RelayLine()
  readonly judge: Judge
  readonly #cryptography: Cryptography
  readonly #doorkeeper: Doorkeeper | undefined
  /** Runs until this node is in the book. */
  #applicant: Applicant | undefined
  /** Keys of all who are, or were, nodes of the network. */
  #everNodes: readonly Uint8Array[]
  /** What proves the current epoch, from the first one on. */
  #epochLinks: readonly Uint8Array[] = []
  #members: Members
  /** Runs while this node is in the book no more, and others may still need what it signed. */
  #leaving: NodeJS.Timeout | undefined
  #engine: Engine | undefined
  #driver: Driver | undefined
  #links: Links | undefined
  #application: OrderedApplication | undefined
  #status: Status
  #stopped = false
  /** Whether the directory says that its log was used; a promise while that is being written. */
  #marked: true | Promise<void> | undefined

  private constructor(options: ConsensusOptions, { members, claim, opened, proofFiles, used, doubtful }: Opened) {
    this.#o = options
    this.#claim = claim
    this.#wal = opened.wal
    this.#records = opened.records
    this.#doubtful = doubtful
    if (used) this.#marked = true
    this.#status = { ...beforeStart, mode: options.genesis.n === 1 ? 'solo' : 'syncing' }
    this.#members = members
    this.#verifier.setNodes(options.genesis.n)
    this.#proofs = new Proofs({
      genesis: options.genesis,
      request: (done) => this.#submit(new Uint8Array(0), MessageKind.checkpointRequest, { done }),
      next: () => this.#engine?.status.position ?? 0,
      files: proofFiles,
    })
    this.#cryptography = nodeCryptography(options.privateKey, options.certifies)
    this.judge = operatorsJudge(options.genesis, this.#cryptography)
    this.#everNodes = members.all.map(({ point }) => point)
    this.#changes = new Changes({
      cryptography: this.#cryptography,
      everNodes: () => this.#everNodes,
      nowUs: () => this.#clock.nowUs(),
      isEnding: () => this.#engine?.ending !== undefined,
      submit: (bytes, done) => this.#submit(bytes, MessageKind.reconfiguration, { done }),
    })
    const { admits = false, settingsDigest, logger } = options
    if (admits) {
      this.#doorkeeper = new Doorkeeper({
        epoch: () => this.epoch,
        settingsDigest,
        reconfigure: (change) => this.reconfigure(change),
        logger,
      })
    }
  }

  /**
   * Reads what the directory holds; nothing is listened to yet. Rejects with `CMQ_CLUSTER…` or `CMQ_DATA_…` when it belongs to
   * another network or node, is of a newer version, or has lost what nobody else can give back.
   */
  static async open(options: ConsensusOptions): Promise<Consensus> {
    const { genesis, directory, files, durability, logger } = options
    const members = membersIn(genesis, options, randomBytes(16))
    const claim: DirectoryClaim = { directory, files, genesis, publicKey: members.self.point, durability }
    const { used, doubtful } = await claimDirectory(claim)
    const opened = await Wal.open({
      files,
      directory: join(directory, consensusDirectory),
      sync: durability === 'fsync',
      logger,
      onDurable: (barrier) => consensus.#durable(barrier),
    })
    const lost = opened.damaged || (used && opened.empty)
    if (lost && genesis.f === 0 && (genesis.n > 1 || opened.damaged)) {
      await opened.wal.close()
      throw new ConcordError(
        'CMQ_DATA_DAMAGED',
        `Cannot use ${directory}: its consensus log is damaged or lost, and in a cluster of ${genesis.n} nodes no others can make up for it`,
      )
    }
    const { proofBytesMax = 0, privateKey } = options
    const proofFiles =
      proofBytesMax === 0
        ? undefined
        : await ProofFiles.open({
            genesis,
            files,
            directory: join(directory, proofsDirectory),
            bytesMax: proofBytesMax,
            cryptography: nodeCryptography(privateKey),
            logger,
          })
    // A directory that was wiped looks like that of a new node. A node alone has nobody to ask.
    const isFresh = opened.empty && !used && genesis.n > 1
    const doubt = (lost || doubtful) && genesis.f > 0
    const consensus = new Consensus(options, {
      ...{ members, claim, opened, proofFiles, used },
      doubtful: isFresh ? 'unlessNew' : doubt,
    })
    return consensus
  }

  get node(): number {
    return this.#members.self.index
  }

  get nodes(): readonly OrderedLogNode[] {
    return this.#members.all.map(({ point, keyId, address }) => ({ publicKey: point, keyId, address }))
  }

  /** The first epoch of the network: operators are its. */
  get genesis(): Epoch {
    return this.#o.genesis
  }

  /** The current epoch, as far as this node knows. */
  get epoch(): Epoch {
    return this.#members.epoch
  }

  get status(): Status {
    return this.#engine?.status ?? this.#status
  }

  get figures(): ClusterFigures {
    return {
      node: this.node,
      transports: this.#links?.transports ?? [],
      addresses: this.#links?.addresses ?? [],
      status: this.status,
      links: this.#links?.figures() ?? [],
    }
  }

  async start(application: OrderedApplication): Promise<void> {
    const { genesis, logger, files, directory } = this.#o
    invariant(this.#driver === undefined && !this.#stopped, 'a node is started once')
    const engine = Engine.open(
      {
        genesis,
        publicKey: this.#members.self.point,
        cryptography: this.#cryptography,
        seed: randomInt(0xffff_ffff),
        appliedPosition: application.nextPosition,
        emitFrom: this.#proofs.lacksFrom ?? application.nextPosition,
        amnesia: this.#doubtful,
      },
      this.#records,
    )
    this.#records = []
    this.#engine = engine
    const nowUs = (): number => this.#clock.nowUs()
    this.#application = application
    const driver = new Driver({
      engine,
      wal: this.#wal,
      verifier: this.#verifier,
      application,
      files,
      directory,
      logger,
      nowUs,
      members: () => this.#members,
      epochBegan: ({ epoch, links }) => this.#epochBegan(epoch, links),
      statusChanged: (status) => this.#statusChanged(status),
      certified: ({ certificate }) => this.#proofs.certified(certificate),
      emitted: (batch) => this.#proofs.add(batch),
      failed: (error) => this.#fail(error),
    })
    this.#driver = driver
    driver.input({ type: 'start', nowUs: nowUs() })
    await this.#openLinks(driver, nowUs)
    this.#apply()
  }

  submit(bytes: Uint8Array, done?: (placement: Placement) => void, kept?: () => void): number {
    return this.#submit(bytes, MessageKind.payload, { done, kept })
  }

  keep(submission: number, kept: () => void): void {
    this.#driver?.keep(submission, kept)
  }

  submitSealed(bytes: Uint8Array, done?: (placement: Placement) => void): void {
    this.#submit(seal(bytes, this.epoch), MessageKind.sealed, { done })
  }

  applied(position: number): void {
    this.#driver?.input({ type: 'applied', position, nowUs: this.#clock.nowUs() })
  }

  /**
   * What proves offline that a message has this position, by a quorum of the nodes: `proofText` of `@concordmq/consensus` writes
   * it down, `verifyProof` checks it. Rejects with `CMQ_PROOF_LATER` or `CMQ_PROOF_FORGOTTEN`.
   */
  proof(position: number): Promise<LogProof> {
    return this.#proofs.prove(position)
  }

  /**
   * Has a change of the book ordered (`encodeReconfiguration`), and resolves with the epoch that begins by it. Rejects with
   * `CMQ_CLUSTER_CHANGE` when it may not follow the current epoch, operators did not sign it, or another one is under way;
   * with `CMQ_CLUSTER_CHANGE_LATER` when it is not in force in time, which it may still become.
   */
  reconfigure(change: Uint8Array): Promise<Epoch> {
    return this.#changes.order(change, this.epoch)
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    clearTimeout(this.#leaving)
    this.#changes.stop()
    this.#applicant?.stop()
    this.#doorkeeper?.close()
    this.#driver?.stop()
    await this.#links?.close()
    await this.#proofs.stop()
    await this.#wal.close()
    await releaseDirectory(this.#claim)
  }

  #submit(bytes: Uint8Array, kind: MessageKind, submission: Submission): number {
    if (this.#driver !== undefined) return this.#driver.submit(bytes, kind, submission)
    if (submission.done !== undefined) queueMicrotask(() => submission.done?.({ type: 'refused', why: 'stopped' }))
    return NOT_SUBMITTED
  }

  /** Asks to be taken in, if this node is not in the book and has something to show. */
  #apply(): void {
    const { application, logger } = this.#o
    if (application === undefined || this.node >= 0) return
    this.#applicant = new Applicant({ ...application, members: () => this.#members, logger })
    this.#applicant.run().catch((error: unknown) => this.#fail(error))
  }

  async #openLinks(driver: Driver, nowUs: () => number): Promise<void> {
    const { transport: choice, host, port, logger, genesis } = this.#o
    const links = await Links.open({
      members: this.#members,
      open: (members, events) => openTransports({ choice, host, port }, logger, members, events),
      frameBytesMax: genesis.constants.blockBytesMax + FRAME_OVERHEAD_BYTES,
      events: {
        frame: (from, bytes, arrivalUs) =>
          this.relay.take(from, bytes, this.#application?.relay) ??
          driver.input({ type: 'frame', from, bytes, arrivalUs }),
        link: (peer, up) => {
          driver.input({ type: 'link', peer, up, nowUs: nowUs() })
          this.#application?.relay.linked(peer, up)
        },
        rtt: (peer, rttUs) => void driver.input({ type: 'rtt', peer, rttUs }),
        removed: (frame) => this.#removed(frame),
      },
      farewell: () => encodeRemoved(this.#epochLinks),
      newcomer: this.#doorkeeper && ((channel) => this.#doorkeeper?.receive(channel)),
      logger,
      nowUs,
      random: Math.random,
    })
    this.#links = links
    driver.links = links
    this.relay.links = links
    const transports = links.transports.map((kind) => kind.toUpperCase()).join(' and ')
    logger.info(
      { event: 'cluster.listening', transports: links.transports, addresses: links.addresses },
      `Nodes are linked over ${transports}, listening on ${links.addresses.join(', ')}`,
    )
  }

  #durable(barrier: number): void {
    const tell = (): void => void this.#driver?.input({ type: 'durable', barrier, nowUs: this.#clock.nowUs() })
    if (this.#marked === true) return tell()
    // Before the first block leaves it is written down that there is a log that can be lost.
    this.#marked ??= markUsed(this.#claim).then(() => {
      this.#marked = true
    })
    this.#marked.then(tell, (error: unknown) => this.#fail(error))
  }

  #fail(error: unknown): void {
    const reason = error instanceof Error ? error : new Error(String(error))
    void this.stop().then(() => this.#o.onFailure(reason))
  }

  #epochBegan(epoch: Epoch, links: readonly Uint8Array[]): void {
    const { logger } = this.#o
    const before = this.#members
    this.#proofs.entered(links)
    const first = this.#o.genesis.nodes.map(({ publicKey }) => publicKey)
    this.#everNodes = [...first, ...keysOfLinks(links, epoch.number)]
    this.#epochLinks = links
    this.#members = membersIn(epoch, { ...this.#o, joining: true, everNodes: this.#everNodes }, before.instance)
    const { self, all } = this.#members
    logger.info(
      { event: 'cluster.epoch', epoch: epoch.number, node: self.index, nodes: all.length },
      `Epoch ${epoch.number} of the cluster: ${all.length} nodes, this one is ${self.index < 0 ? 'not among them' : `node ${self.index}`}`,
    )
    this.#leave(before.self.index >= 0 && self.index < 0)
    this.#application?.epochChanged()
    this.#links?.replaceMembers(this.#members).catch((error: unknown) => {
      logger.error(
        { event: 'cluster.listen', error: reasonOf(error) },
        `Cannot listen to the nodes of the new epoch: ${reasonOf(error)}`,
      )
    })
    this.#changes.began(epoch)
    this.#applicant?.began()
    this.#o.onEpoch?.(epoch)
  }

  /** Whether this node has left the book: then it ends, unless a later epoch, known in a moment, has it again. */
  #leave(left: boolean): void {
    clearTimeout(this.#leaving)
    if (!left || (this.#o.awaited === true && this.#links === undefined)) return
    const { number } = this.epoch
    this.#leaving = setTimeout(() => {
      this.#fail(removedError(number))
    }, LEAVING_MS)
  }

  /**
   * A peer proves that this node was taken out: it was away, or its peers were through with the epoch, and closed their links, before it
   * saw the end. Who is to come back waits all the same.
   */
  #removed(frame: Uint8Array): void {
    const { genesis, awaited = false } = this.#o
    const epoch = provenRemoval(frame, genesis, this.#members.self.point, this.#cryptography)
    if (epoch === undefined || epoch.number <= this.epoch.number || awaited || this.#stopped) return
    this.#fail(removedError(epoch.number))
  }

  #statusChanged(status: Status): void {
    const before = this.#status.mode
    this.#status = status
    if (status.mode !== before) {
      this.#o.logger.info(
        { event: 'cluster.mode', mode: status.mode, before, position: status.position },
        `Seen from this node, the cluster is ${status.mode} now`,
      )
    }
    this.#application?.statusChanged(status)
  }
}

function removedError(epoch: number): ConcordError {
  return new ConcordError('CMQ_CLUSTER_REMOVED', `This node was taken out of the cluster: epoch ${epoch} is without it`)
}

function membersIn(
  epoch: Epoch,
  options: ConsensusOptions & Pick<MembersOptions, 'everNodes'>,
  instance: Uint8Array,
): Members {
  const { privateKey, settingsDigest, settingsText = '', programVersion, joining = false, everNodes = [] } = options
  return membersOf({
    epoch,
    privateKey,
    publicKey: createPublicKey(privateKey),
    settingsDigest,
    settingsText,
    instance,
    programVersion,
    joining,
    everNodes,
  })
}
