/**
 * The state cut into records, for the hash and for snapshots: a session, a subscription, a part of a queue, a message …
 *
 *   record ─ SHA-256 ▶ digest ┐
 *   record ─ SHA-256 ▶ digest ┴ sorted ▶ bucket (65,536) ▶ 16 to one ▶ … ▶ root
 *
 * A record lies in the bucket that the first 16 bits of the hash of its key name; a hash, so that nobody can choose names
 * that crowd one bucket. Whoever changes a record says so first (`touch`), which costs one test while it is marked
 * already; nothing is encoded or hashed until somebody asks. Then only what is marked is hashed again. All that thousands of clients
 * brought since somebody asked last would be hashed in one go, though: what is new and stays is hashed on the way (`hashAhead`).
 *
 * A snapshot walks the buckets while commands go on. `touch` keeps the form that a record had at the start if the walk has
 * not passed it yet (copy on write), so every slice belongs to one position.
 *
 * With `hashing: false` all this does nothing; such a machine has no hash and no snapshot. `durable: true` keeps in mind
 * what the disk does not have yet (`changes.ts`); neither costs anything where it is not asked for.
 */
import { joinBytes } from '@concordmq/protocol'
import { Writer } from '../encoding/writer.ts'
import { sha256 } from '../hash/sha256.ts'
import { Changes } from './changes.ts'
import type { StateRecord } from './state-record.ts'

const BUCKETS = 65536
const LEVELS = 4
const FAN = 16
const DIGEST_BYTES = 32
/** New records are hashed when `hashAhead` was called so often since they came: most messages are gone by then. */
const AHEAD_AGE = 64
/** Hashed in one call of `hashAhead`: some 200 µs. */
const AHEAD_RECORDS = 64

interface Walk {
  /** Records of this flush or earlier belong to the snapshot. */
  readonly bornBy: number
  /** The next bucket to be written. */
  bucket: number
  /** Forms of changed and removed records, by bucket. */
  readonly kept: Map<number, Map<StateRecord, Uint8Array>>
}

/** All records as they were at one moment. */
export interface RecordWalk {
  readonly hash: Uint8Array
  readonly records: IterableIterator<Uint8Array>
  /** Gives the walk up; nothing is kept for it any more. */
  stop(): void
}

export class RecordTable {
  readonly hashing: boolean
  /** What the disk does not have; undefined: there is no disk. */
  readonly changes: Changes | undefined
  readonly #marked = new Set<StateRecord>()
  /** Of those, the ones that were never hashed: since the last change of generation, and before. */
  #young = new Set<StateRecord>()
  #old = new Set<StateRecord>()
  #aheadCalls = 0
  /** Buckets of which the hash is not what their records' are. */
  readonly #changed = new Set<number>()
  readonly #buckets = new Map<number, Set<StateRecord>>()
  /** Hashes by level: 65,536 buckets, 4,096, 256, 16, the root. Absent: all below is empty. */
  readonly #nodes: Map<number, Uint8Array>[] = Array.from({ length: LEVELS + 1 }, () => new Map())
  readonly #empty: Uint8Array[]
  /** Of the node that is being hashed. */
  readonly #children = new Uint8Array(FAN * DIGEST_BYTES)
  readonly #sha256: (bytes: Uint8Array) => Uint8Array
  readonly #writer = new Writer()
  #flushes = 0
  #walk: Walk | undefined

  /** What is sent must be on the disk: in a cluster it need not, since others have it. */
  readonly waitsForDisk: boolean
  /** All records are kept on disk, those of transient sessions too: in a cluster they outlive the process of one node. */
  readonly keepsAll: boolean
  /** How far the bundles of each node have come is part of the state: threads of one process begin anew together. */
  readonly #countsBundles: boolean

  constructor(options: {
    readonly hashing: boolean
    readonly durable?: boolean
    readonly replicated?: boolean
    readonly threads?: boolean
    readonly sha256?: (bytes: Uint8Array) => Uint8Array
  }) {
    const { hashing, durable = false, replicated = false, threads = false } = options
    this.hashing = hashing
    this.#sha256 = options.sha256 ?? sha256
    this.waitsForDisk = durable && (!replicated || threads)
    this.keepsAll = durable && replicated && !threads
    this.#countsBundles = !threads
    this.changes = durable ? new Changes() : undefined
    this.#empty = [new Uint8Array(32)]
    for (let level = 1; level <= LEVELS; level++) {
      this.#empty.push(sha256(joinBytes(Array.from({ length: FAN }, () => this.#empty[level - 1] as Uint8Array))))
    }
  }

  /** A new record. */
  add(record: StateRecord): void {
    record.gone = false
    if (this.changes !== undefined && record.durable) this.changes.mark(record)
    if (!this.hashing) return
    record.marked = true
    this.#marked.add(record)
    if (record.hashed === undefined) this.#young.add(record)
  }

  /** Called before a record changes. */
  touch(record: StateRecord): void {
    if (record.gone) return
    if (this.changes !== undefined && record.durable) this.changes.mark(record)
    if (!this.hashing) return
    if (this.#walk !== undefined) this.#keep(this.#walk, record)
    if (record.marked) return
    record.marked = true
    this.#marked.add(record)
  }

  /** The same where a node's record changes for nothing but a bundle of it that came. */
  touchForBundle(life: StateRecord): void {
    if (this.#countsBundles) this.touch(life)
  }

  /** Called before a record goes. */
  remove(record: StateRecord): void {
    record.gone = true
    if (this.changes !== undefined && record.durable) this.changes.mark(record)
    if (!this.hashing) return
    if (this.#walk !== undefined) this.#keep(this.#walk, record)
    if (record.hashed === undefined) {
      record.marked = false
      this.#marked.delete(record)
      if (!this.#young.delete(record)) this.#old.delete(record)
    } else if (!record.marked) {
      record.marked = true
      this.#marked.add(record)
    }
  }

  /** All records that are kept on disk. What is hashed is in a bucket, or marked. */
  *durable(): IterableIterator<StateRecord> {
    for (const bucket of this.#buckets.values())
      for (const record of bucket) if (!record.gone && record.durable) yield record
    for (const record of this.#marked) if (!record.gone && record.hashed === undefined && record.durable) yield record
  }

  /** 32 bytes over all records. Costs what changed since it was last asked for. */
  hash(): Uint8Array {
    if (!this.hashing) throw new Error('Cannot hash this state: it was made with hashing: false')
    this.#flush()
    return (this.#nodes[LEVELS]?.get(0) ?? (this.#empty[LEVELS] as Uint8Array)).slice()
  }

  /** Hashes some of what is new, if it has been there for a while, so that `hash` has less to do. Called again and again. */
  hashAhead(): void {
    if (!this.hashing) return
    this.#aheadCalls++
    if (this.#old.size === 0) {
      if (this.#aheadCalls < AHEAD_AGE || this.#young.size === 0) return
      this.#aheadCalls = 0
      const empty = this.#old
      this.#old = this.#young
      this.#young = empty
      return
    }
    // A walk that is under way began before them.
    this.#flushes++
    let left = AHEAD_RECORDS
    for (const record of this.#old) {
      if (left-- === 0) return
      this.#old.delete(record)
      this.#marked.delete(record)
      this.#hash(record)
    }
  }

  /** Starts a walk over all records as they are now; one that is under way ends. Returns their hash and the walk. */
  startWalk(): RecordWalk {
    const hash = this.hash()
    const walk: Walk = { bornBy: this.#flushes, bucket: 0, kept: new Map() }
    this.#walk = walk
    const stop = () => {
      if (this.#walk === walk) this.#walk = undefined
    }
    return { hash, records: this.#records(walk), stop }
  }

  /** The walk's records: buckets ascending, in a bucket by their bytes. */
  *#records(walk: Walk): IterableIterator<Uint8Array> {
    try {
      while (walk.bucket < BUCKETS) {
        if (this.#walk !== walk)
          throw new Error('Cannot go on with this snapshot: it was given up or a newer one started')
        // Moved on before anything is handed out: all forms of this bucket are taken now.
        const index = walk.bucket++
        const kept = walk.kept.get(index)
        const bucket = this.#buckets.get(index)
        if (kept === undefined && bucket === undefined) continue
        walk.kept.delete(index)
        const forms: Uint8Array[] = kept === undefined ? [] : [...kept.values()]
        for (const record of bucket ?? []) {
          if (bornAt(record) <= walk.bornBy && kept?.has(record) !== true) forms.push(this.#form(record))
        }
        yield* forms.sort(compareBytes)
      }
    } finally {
      if (this.#walk === walk) this.#walk = undefined
    }
  }

  #keep(walk: Walk, record: StateRecord): void {
    const { hashed } = record
    if (hashed === undefined || hashed.bucket < walk.bucket || hashed.bornAt > walk.bornBy) return
    let kept = walk.kept.get(hashed.bucket)
    if (kept === undefined) {
      kept = new Map()
      walk.kept.set(hashed.bucket, kept)
    }
    if (!kept.has(record)) kept.set(record, this.#form(record))
  }

  #form(record: StateRecord): Uint8Array {
    const writer = this.#writer
    writer.clear()
    record.writeKey(writer)
    record.writeValue(writer)
    return writer.take()
  }

  #flush(): void {
    if (this.#marked.size === 0 && this.#changed.size === 0) return
    this.#flushes++
    for (const record of this.#marked) this.#hash(record)
    this.#marked.clear()
    this.#young.clear()
    this.#old.clear()
    this.#rehash()
  }

  /** A marked record gets its digest, or leaves its bucket. */
  #hash(record: StateRecord): void {
    record.marked = false
    const { hashed } = record
    if (!record.gone) {
      const digest = this.#sha256(this.#form(record))
      if (hashed === undefined) this.#changed.add(this.#enter(record, digest))
      else {
        hashed.digest = digest
        this.#changed.add(hashed.bucket)
      }
    } else if (hashed !== undefined) {
      this.#buckets.get(hashed.bucket)?.delete(record)
      this.#changed.add(hashed.bucket)
      // A message may come back: a retained one, for a later subscription.
      record.hashed = undefined
    }
  }

  /** Gives a record its bucket. */
  #enter(record: StateRecord, digest: Uint8Array): number {
    this.#writer.clear()
    record.writeKey(this.#writer)
    const key = this.#sha256(this.#writer.view())
    const index = (key[0] as number) * 256 + (key[1] as number)
    record.hashed = { bucket: index, bornAt: this.#flushes, digest }
    const bucket = this.#buckets.get(index)
    if (bucket === undefined) this.#buckets.set(index, new Set([record]))
    else bucket.add(record)
    return index
  }

  #rehash(): void {
    for (const index of this.#changed) {
      const bucket = this.#buckets.get(index)
      if (bucket === undefined || bucket.size === 0) {
        this.#buckets.delete(index)
        this.#nodes[0]?.delete(index)
      } else {
        this.#nodes[0]?.set(index, this.#sha256(digestsOf(bucket)))
      }
    }
    let changed = new Set(this.#changed)
    this.#changed.clear()
    for (let level = 1; level <= LEVELS; level++) {
      const below = this.#nodes[level - 1] as Map<number, Uint8Array>
      const empty = this.#empty[level - 1] as Uint8Array
      const parents = new Set<number>()
      for (const index of changed) parents.add(Math.floor(index / FAN))
      for (const parent of parents) {
        let children = 0
        for (let i = 0; i < FAN; i++) {
          const hash = below.get(parent * FAN + i)
          if (hash !== undefined) children++
          this.#children.set(hash ?? empty, i * DIGEST_BYTES)
        }
        if (children === 0) this.#nodes[level]?.delete(parent)
        else this.#nodes[level]?.set(parent, this.#sha256(this.#children))
      }
      changed = parents
    }
  }
}

/** Of a bucket's records, sorted, one behind the other. Most buckets have one. */
function digestsOf(bucket: ReadonlySet<StateRecord>): Uint8Array {
  const digests: Uint8Array[] = []
  for (const { hashed } of bucket) digests.push(hashed?.digest as Uint8Array)
  return digests.length === 1 ? (digests[0] as Uint8Array) : joinBytes(digests.sort(compareBytes))
}

/** Flush with which a record got its place; those in a bucket have one. */
function bornAt(record: StateRecord): number {
  return record.hashed?.bornAt ?? 0
}

/** Lexicographic order of byte strings. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = a.length < b.length ? a.length : b.length
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return (a[i] as number) - (b[i] as number)
  return a.length - b.length
}
