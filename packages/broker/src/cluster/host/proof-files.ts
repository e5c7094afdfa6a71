/**
 * The log on disk, as far back as its maximum of bytes allows, so that positions from before a restart can be proven
 * (consensus.md section 10). Segments follow each other; where a crash or a snapshot left a hole, what lies before it is proven by
 * the certificate that was kept with it.
 *
 *     segment  segment │ hole │ segment  segment  segment ┄ newest certificate
 *     └ older run, own certificate    └ run that the newest certificate covers
 *
 * What a disk gives back is checked as a reader of the proof would, signatures included, before it leaves: so nothing is synced, and
 * a disk that fails costs old proofs and no more. It never holds up the order.
 */
import { hash } from 'node:crypto'
import {
  type Cryptography,
  type Epoch,
  inclusionPath,
  type LogProof,
  makeProof,
  messageAt,
  type NodeName,
  type OrderedBatch,
  readCertificate,
  readLeaf,
  verifyProof,
} from '@concordmq/consensus'
import { reasonOf } from '../../errors.ts'
import type { Files } from '../../model/files.ts'
import type { Logger } from '../../telemetry/logger.ts'
import {
  pathOf,
  readHash,
  readSegment,
  readUnit,
  removeSegment,
  type Segment,
  type SegmentPlace,
  SegmentWriter,
  type StoredUnit,
  segmentsIn,
} from './proof-segment.ts'

/** Of a segment; and of the whole when that is little. */
const SEGMENT_BYTES = 16 * 1024 * 1024
const SEGMENTS_MIN = 8
/** Each start begins one, so there may be small ones. */
const SEGMENTS_MAX = 4096
/** When this much waits it is written; and what waits so long. */
const FLUSH_BYTES = 256 * 1024
const FLUSH_MS = 200
/** A disk that is further behind than this is given up for the current segment. */
const PENDING_BYTES_MAX = 32 * 1024 * 1024
/** After a failure it is tried again with a new segment. */
const RETRY_MS = 30_000
const CERTIFICATE_MS = 1000

export interface ProofFilesOptions {
  readonly genesis: Epoch
  readonly files: Files
  readonly directory: string
  /** Bytes of all segments. */
  readonly bytesMax: number
  readonly cryptography: Pick<Cryptography, 'verify'>
  readonly logger: Logger
}

/** A certificate, and how many leaves of the log it covers. */
interface Covering {
  readonly bytes: Uint8Array
  readonly epoch: number
  readonly leafCount: number
}

export class ProofFiles {
  readonly #o: ProofFilesOptions
  readonly #segments: Segment[]
  #writer: SegmentWriter | undefined
  #writing: Promise<void> = Promise.resolve()
  #pendingBytes = 0
  #unflushed = 0
  #timer: NodeJS.Timeout | undefined
  #newest: Covering | undefined
  #certificateAtMs = 0
  #retryAtMs = 0
  #closed = false

  private constructor(options: ProofFilesOptions, segments: Segment[]) {
    this.#o = options
    this.#segments = segments
  }

  /** Looks at what is there; what cannot be read is removed. */
  static async open(options: ProofFilesOptions): Promise<ProofFiles> {
    const { files, directory } = options
    const segments: Segment[] = []
    for (const firstLeaf of segmentsIn(await files.list(directory))) {
      const segment = await readSegment({ files, directory, firstLeaf }).catch(() => undefined)
      if (segment === undefined) await removeSegment({ files, directory, firstLeaf })
      else segments.push(segment)
    }
    return new ProofFiles(options, segments)
  }

  /** The first position that is kept; undefined: none is. */
  get firstPosition(): number | undefined {
    return this.#segments[0]?.firstPosition
  }

  /** Behind the last position that is kept. */
  get endPosition(): number {
    return this.#segments.at(-1)?.endPosition ?? 0
  }

  /** The next unit of the log; after a start some come that are here already. */
  add(batch: OrderedBatch): void {
    if (this.#closed || Date.now() < this.#retryAtMs) return
    const end = this.#segments.at(-1)?.endLeaf ?? 0
    if (batch.leafIndex < end) return
    const { bytesMax } = this.#o
    const segmentBytes = Math.min(SEGMENT_BYTES, Math.floor(bytesMax / SEGMENTS_MIN))
    const full = (this.#writer?.segment.bytes ?? 0) >= segmentBytes
    if (this.#writer === undefined || batch.leafIndex > end || full) this.#begin(batch)
    this.#unflushed += this.#writer?.add(batch) ?? 0
    if (this.#unflushed >= FLUSH_BYTES) return this.#flush()
    this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS)
    this.#timer.unref()
  }

  /** A checkpoint has its certificate. */
  certified(certificate: Uint8Array): void {
    this.#newest = coveringOf(certificate) ?? this.#newest
    // A restart begins at a checkpoint, and gives what came behind it once more.
    this.#flush()
    const nowMs = performance.now()
    if (this.#writer === undefined || nowMs < this.#certificateAtMs + CERTIFICATE_MS) return
    this.#certificateAtMs = nowMs
    this.#keepCertificate(this.#writer.segment)
  }

  /** Undefined: the position is not here, or nothing that is here proves it. */
  async prove(position: number, links: readonly Uint8Array[]): Promise<LogProof | undefined> {
    this.#flush()
    await this.#writing
    try {
      const at = this.#segments.findIndex((one) => one.firstPosition <= position && position < one.endPosition)
      const segment = this.#segments[at]
      const unit = segment && (await readUnit(this.#placeOf(segment), segment, position))
      const leaf = unit && readLeaf(unit.leaf)
      if (leaf === undefined || messageAt(leaf, position) === -1) return undefined
      const run = this.#runAround(at)
      for (const covering of await this.#coverings(run, unit as StoredUnit)) {
        const proof = await this.#proofBy(covering, run, unit as StoredUnit, { position, links })
        if (proof !== undefined && this.#holds(proof)) return proof
      }
    } catch (error) {
      this.#o.logger.warn({ event: 'cluster.proofs', error: reasonOf(error) }, 'Cannot read the log for an old proof')
    }
    return undefined
  }

  async close(): Promise<void> {
    this.#flush()
    this.#closed = true
    if (this.#writer !== undefined) this.#keepCertificate(this.#writer.segment)
    await this.#writing
    await this.#writer?.close().catch(() => {})
  }

  #placeOf({ firstLeaf }: Segment): SegmentPlace {
    const { files, directory } = this.#o
    return { files, directory, firstLeaf }
  }

  #begin(batch: OrderedBatch): void {
    this.#flush()
    const before = this.#writer
    if (before !== undefined) {
      this.#keepCertificate(before.segment)
      this.#then(() => before.close())
    }
    const { files, directory, bytesMax } = this.#o
    this.#writer = new SegmentWriter({ files, directory, firstLeaf: batch.leafIndex }, batch)
    this.#segments.push(this.#writer.segment)
    let bytes = this.#segments.reduce((sum, one) => sum + one.bytes, 0)
    while ((bytes > bytesMax || this.#segments.length > SEGMENTS_MAX) && this.#segments.length > 1) {
      const oldest = this.#segments.shift() as Segment
      bytes -= oldest.bytes
      this.#then(() => removeSegment(this.#placeOf(oldest)))
    }
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const writer = this.#writer
    const bytes = this.#unflushed
    if (writer === undefined || bytes === 0) return
    this.#unflushed = 0
    this.#pendingBytes += bytes
    if (this.#pendingBytes > PENDING_BYTES_MAX) return this.#giveUp(writer, 'the disk is too slow for it')
    this.#then(async () => {
      try {
        await writer.flush()
      } finally {
        this.#pendingBytes -= bytes
      }
    }, writer)
  }

  /** After what is under way; a failure ends the segment. */
  #then(work: () => Promise<void>, writer = this.#writer): void {
    this.#writing = this.#writing.then(work).catch((error: unknown) => {
      if (writer !== undefined) this.#giveUp(writer, reasonOf(error))
    })
  }

  /** Its segment goes, which leaves a hole. */
  #giveUp(writer: SegmentWriter, why: string): void {
    if (this.#writer !== writer) return
    this.#o.logger.warn(
      { event: 'cluster.proofs', why },
      `The log is not kept for proofs for ${RETRY_MS / 1000} s: ${why}`,
    )
    this.#writer = undefined
    const at = this.#segments.indexOf(writer.segment)
    if (at >= 0) this.#segments.splice(at, 1)
    this.#retryAtMs = Date.now() + RETRY_MS
    const place = this.#placeOf(writer.segment)
    this.#writing = this.#writing
      .then(async () => {
        await writer.close()
        await removeSegment(place)
      })
      .catch(() => {})
  }

  #keepCertificate(segment: Segment): void {
    const { bytes } = this.#newest ?? {}
    const { files } = this.#o
    if (bytes === undefined) return
    const path = pathOf(this.#placeOf(segment), 'cert')
    this.#then(async () => {
      await files.remove(`${path}.new`)
      const file = await files.open(`${path}.new`)
      await file.write(bytes, 0)
      await file.close()
      await files.rename(`${path}.new`, path)
    })
  }

  /** The segments around one that follow each other without a hole. */
  #runAround(at: number): readonly Segment[] {
    const follows = (i: number): boolean => this.#segments[i - 1]?.endLeaf === this.#segments[i]?.firstLeaf
    let first = at
    let last = at
    while (first > 0 && follows(first)) first--
    while (last + 1 < this.#segments.length && follows(last + 1)) last++
    return this.#segments.slice(first, last + 1)
  }

  /** Certificates that cover the unit and nothing beyond the run, newest first. */
  async #coverings(run: readonly Segment[], { leafIndex }: StoredUnit): Promise<Covering[]> {
    const end = run.at(-1)?.endLeaf ?? 0
    const fits = (covering: Covering | undefined): covering is Covering =>
      covering !== undefined && covering.leafCount > leafIndex && covering.leafCount <= end
    if (fits(this.#newest)) return [this.#newest]
    const found: Covering[] = []
    for (const segment of [...run].reverse()) {
      if (segment.endLeaf <= leafIndex) break
      const bytes = await this.#o.files.read(pathOf(this.#placeOf(segment), 'cert')).catch(() => undefined)
      const covering = bytes && coveringOf(bytes)
      if (fits(covering)) found.push(covering)
    }
    return found
  }

  async #proofBy(
    { bytes: certificate, epoch, leafCount }: Covering,
    run: readonly Segment[],
    { leafIndex, leaf, block }: StoredUnit,
    { position, links }: { readonly position: number; readonly links: readonly Uint8Array[] },
  ): Promise<LogProof | undefined> {
    const decoded = readLeaf(leaf)
    if (decoded === undefined) return undefined
    const names: NodeName[] = []
    inclusionPath(sha256, leafIndex, leafCount, (name) => {
      names.push(name)
      return new Uint8Array(32)
    })
    const hashes: Uint8Array[] = []
    for (const name of names) hashes.push(await this.#hashOf(name, run))
    let next = 0
    const path = inclusionPath(sha256, leafIndex, leafCount, () => hashes[next++] as Uint8Array)
    const { genesis } = this.#o
    const epochs = links.slice(0, epoch - genesis.number)
    return makeProof({ genesis, position, block, leaf: decoded, leafIndex, path, certificate, epochs })
  }

  async #hashOf(name: NodeName, run: readonly Segment[]): Promise<Uint8Array> {
    const lastLeaf = (name.index + 1) * 2 ** name.level - 1
    const segment = run.find(({ endLeaf }) => lastLeaf < endLeaf) ?? run[0]
    return await readHash(this.#placeOf(segment as Segment), name)
  }

  #holds(proof: LogProof): boolean {
    const verified = verifyProof(this.#o.genesis, proof, sha256)
    const { verify } = this.#o.cryptography
    return verified.ok && verified.value.signatures.every((one) => verify(one.publicKey, one.bytes, one.signature))
  }
}

function coveringOf(bytes: Uint8Array): Covering | undefined {
  const read = readCertificate(bytes)
  return read && { bytes, epoch: read.checkpoint.epoch, leafCount: read.checkpoint.leafCount }
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer')
}
