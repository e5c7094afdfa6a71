/**
 * Turns the lines of an export into records of a new store, one after the other, and refuses what a broker could not have
 * written. Messages fill chunks as the machine fills them; entries are gathered to parts of queues.
 */
import {
  contentOf,
  type EntryForm,
  keyName,
  PART_SIZE,
  type PlacedMessage,
  packetIdOf,
  RecordProbe,
  type SessionForm,
  writeRecordForm,
} from '@concordmq/state'
import type { StoreFile } from '../store-file.ts'
import { settings } from './examine-data.ts'
import {
  Fields,
  LineError,
  readMessageFields,
  readPlacedFields,
  readSessionFields,
  readSubscriptionFields,
  STREAM_FORMAT,
  STREAM_VERSION,
} from './lines.ts'

export interface ImportCounts {
  sessions: number
  subscriptions: number
  queuedMessages: number
  messages: number
  retained: number
  wills: number
  /** Sessions and retained messages that were there and are now as the stream has them. */
  replaced: number
}

const CHUNK_MESSAGES = 1024
const CHUNK_BYTES = 262_144
const U32 = 0xffff_ffff

/** In this order. */
const STAGES: Readonly<Record<string, number>> = {
  header: 0,
  node: 1,
  message: 2,
  session: 3,
  subscription: 3,
  will: 3,
  entry: 3,
  retained: 4,
  end: 5,
}

interface Place {
  readonly position: number
  readonly timeMs: number
}

export class Intake {
  readonly counts: ImportCounts = {
    sessions: 0,
    subscriptions: 0,
    queuedMessages: 0,
    messages: 0,
    retained: 0,
    wills: 0,
    replaced: 0,
  }
  readonly #store: StoreFile
  readonly #probe = new RecordProbe(settings)
  readonly #merging: boolean
  /** Added to every position of the stream: it comes behind what is there. */
  readonly #offset: number
  readonly #nodes = new Map<number, number>()
  readonly #removed = new Set<string>()
  #timeUs: number
  #position = 0
  #stage = -1
  #lines = 0
  #nextChunk: number
  #filling: { slot: number; placed: PlacedMessage }[] = []
  #fillingBytes = 0
  /** Where each message lies, by its number. */
  #chunkOf = new Uint32Array(1024)
  #slotOf = new Uint16Array(1024)
  #session: SessionForm | undefined
  #lastNumber = -1
  #part: { number: number; entries: EntryForm[] } | undefined

  constructor(store: StoreFile, present: Place | undefined) {
    this.#store = store
    this.#merging = present !== undefined
    this.#offset = present?.position ?? 0
    this.#timeUs = (present?.timeMs ?? 0) * 1000
    this.#nextChunk = 1
    if (present === undefined) return
    for (const [key, value] of store.rows()) {
      if (key[0] === NODE_KIND)
        this.#nodes.set(Buffer.from(key).readUInt32BE(1), Number(Buffer.from(value).readBigUInt64BE()))
      if (key[0] === CHUNK_KIND)
        this.#nextChunk = Math.max(this.#nextChunk, Number(Buffer.from(key).readBigUInt64BE(1)) + 1)
    }
  }

  /** One line, without its end. Throws `LineError`. */
  take(line: string): void {
    const fields = Fields.ofLine(line)
    const kind = fields.text('kind')
    const stage = Object.hasOwn(STAGES, kind) ? STAGES[kind] : undefined
    if (stage === undefined) throw new LineError(`its kind ${JSON.stringify(kind)} is unknown`)
    if (this.#stage < 0 && kind !== 'header') throw new LineError('the stream does not begin with a header')
    if (stage < this.#stage || (kind === 'header' && this.#stage >= 0) || this.#stage === STAGES['end']) {
      throw new LineError(`a line of kind "${kind}" must not come here`)
    }
    if (stage > 2) this.#finishChunk()
    if (stage > 3) this.#finishSession()
    this.#stage = stage
    this.#lines++
    this.#read(kind, fields)
    fields.end()
  }

  /** The stream has ended. */
  end(): void {
    if (this.#stage !== STAGES['end'])
      throw new LineError('the stream ends without its last line, of kind "end": it is cut off')
    this.#put({ kind: 'clock', position: this.#offset + this.#position, timeUs: this.#timeUs, index: 0 })
  }

  #read(kind: string, fields: Fields): void {
    switch (kind) {
      case 'header':
        return this.#header(fields)
      case 'node':
        return this.#node(fields)
      case 'message':
        return this.#message(fields)
      case 'session':
        return this.#begin(readSessionFields(fields))
      case 'subscription': {
        this.#counted('subscriptions')
        const form = readSubscriptionFields(fields)
        this.#ofSession('clientId' in form ? form.clientId : '')
        return this.#put(form)
      }
      case 'will': {
        this.#counted('wills')
        const clientId = this.#ofSession(fields.text('clientId'))
        const delaySeconds = fields.integer('delaySeconds', U32)
        return this.#put({ kind: 'will', clientId, delaySeconds, message: readMessageFields(fields) })
      }
      case 'entry':
        return this.#entry(fields)
      case 'retained': {
        this.#counted('retained')
        const placed = this.#placed(fields)
        this.#replace(writeRecordForm({ kind: 'retained', placed }).key, { whole: false })
        return this.#put({ kind: 'retained', placed })
      }
      default:
        if (fields.integer('lines') !== this.#lines)
          throw new LineError(`${this.#lines} lines are there, which "lines" denies`)
    }
  }

  #header(fields: Fields): void {
    if (fields.take('format') !== STREAM_FORMAT) throw new LineError('the stream is no export of data')
    const version = fields.integer('version')
    if (version !== STREAM_VERSION) {
      throw new LineError(`its version ${version} is none that this program reads (${STREAM_VERSION})`)
    }
    this.#position = fields.integer('position', Number.MAX_SAFE_INTEGER - this.#offset)
    this.#timeUs = Math.max(this.#timeUs, fields.integer('timeUs', 2 ** 52))
    fields.take('time')
  }

  #node(fields: Fields): void {
    const node = fields.integer('node', U32)
    const incarnation = Math.max(fields.integer('incarnation'), this.#nodes.get(node) ?? 0)
    this.#put({ kind: 'node', node, incarnation })
  }

  #placed(fields: Fields): PlacedMessage {
    const placed = readPlacedFields(fields, this.#offset)
    if (placed.position > this.#offset + this.#position) throw new LineError('"position" is behind that of the header')
    return placed
  }

  #message(fields: Fields): void {
    this.#counted('messages')
    const { messages } = this.counts
    if (fields.integer('id') !== messages)
      throw new LineError(`"id" is not ${messages}: messages are numbered from 1 on`)
    const placed = this.#placed(fields)
    const problem = this.#probe.messageProblem(placed.message)
    if (problem !== undefined) throw new LineError(problem)
    if (messages >= this.#chunkOf.length) {
      const [chunks, slots] = [new Uint32Array(2 * messages), new Uint16Array(2 * messages)]
      chunks.set(this.#chunkOf)
      slots.set(this.#slotOf)
      this.#chunkOf = chunks
      this.#slotOf = slots
    }
    const slot = this.#filling.length
    this.#chunkOf[messages] = this.#nextChunk
    this.#slotOf[messages] = slot
    this.#filling.push({ slot, placed })
    this.#fillingBytes += placed.message.payload.length + placed.message.topic.length + 64
    if (this.#filling.length >= CHUNK_MESSAGES || this.#fillingBytes >= CHUNK_BYTES) this.#finishChunk()
  }

  #finishChunk(): void {
    if (this.#filling.length === 0) return
    const { content, messages } = contentOf(this.#filling)
    this.#filling = []
    this.#fillingBytes = 0
    const id = this.#nextChunk++
    this.#store.putContent(id, 0, content)
    const { key, value } = writeRecordForm({ kind: 'chunk', id, messages })
    this.#store.put(key, value)
  }

  #begin(session: SessionForm): void {
    this.#finishSession()
    this.#counted('sessions')
    this.#replace(writeRecordForm({ kind: 'session', session }).key, { whole: true })
    this.#put({ kind: 'session', session })
    this.#session = session
    this.#lastNumber = -1
  }

  #ofSession(clientId: string): string {
    if (this.#session?.clientId !== clientId)
      throw new LineError(`it does not follow the line of session ${JSON.stringify(clientId)}`)
    return clientId
  }

  #entry(fields: Fields): void {
    this.#counted('queuedMessages')
    this.#ofSession(fields.text('clientId'))
    const session = this.#session as SessionForm
    const q = fields.integer('number')
    if (!session.kept) throw new LineError('a session that is not kept has no queue')
    if (fields.integer('packetId') !== packetIdOf(q))
      throw new LineError(`"packetId" is not ${packetIdOf(q)}, as the number has it`)
    if (this.#lastNumber < 0 ? q !== session.base : q <= this.#lastNumber)
      throw new LineError('"number" is out of order')
    if (q >= session.next) throw new LineError('"number" is not below "next" of its session')
    this.#lastNumber = q
    const message = fields.integer('message', this.counts.messages, 1)
    const subscriptionIds = fields.list('subscriptionIds').map((id) => {
      if (!Number.isSafeInteger(id) || (id as number) < 1 || (id as number) > 268_435_455) {
        throw new LineError('"subscriptionIds" holds what is no subscription identifier')
      }
      return id as number
    })
    if (subscriptionIds.length > 65_535) throw new LineError('"subscriptionIds" is too long')
    const entry: EntryForm = {
      slot: q % PART_SIZE,
      ref: { chunk: this.#chunkOf[message] as number, slot: this.#slotOf[message] as number },
      terms: { qos: fields.integer('qos', 2, 1) as 1 | 2, retain: fields.flag('retain'), subscriptionIds },
      received: fields.has('received') && fields.flag('received'),
      share: fields.has('share') ? fields.text('share') : '',
    }
    const number = Math.floor(q / PART_SIZE)
    if (this.#part?.number !== number) this.#finishPart()
    this.#part ??= { number, entries: [] }
    this.#part.entries.push(entry)
  }

  #finishPart(): void {
    const part = this.#part
    this.#part = undefined
    if (part === undefined || this.#session === undefined) return
    const { clientId } = this.#session
    const { key, value } = writeRecordForm({ kind: 'queuePart', clientId, ...part })
    this.#store.put(key, value)
  }

  #finishSession(): void {
    const session = this.#session
    if (session === undefined) return
    this.#finishPart()
    if (session.kept && this.#lastNumber < 0 && session.base !== session.next) {
      throw new LineError(
        `session ${JSON.stringify(session.clientId)} before it has no entry, which its "queue" denies`,
      )
    }
    this.#session = undefined
  }

  /** What the directory has under the same name goes. */
  #replace(key: Uint8Array, { whole }: { readonly whole: boolean }): void {
    if (!this.#merging) return
    const name = keyName(key)
    if (this.#removed.has(name)) return
    this.#removed.add(name)
    if (!this.#store.has(key)) return
    this.counts.replaced++
    if (!whole) return this.#store.remove(key)
    // Everything of a session has its name behind the kind.
    for (const kind of SESSION_KINDS) {
      const prefix = Uint8Array.from(key)
      prefix[0] = kind
      this.#store.removePrefix(prefix)
    }
  }

  #put(form: Parameters<typeof writeRecordForm>[0]): void {
    const { key, value } = writeRecordForm(form)
    const problem = form.kind === 'clock' ? undefined : this.#probe.problem(key, value)
    if (problem !== undefined) throw new LineError(problem)
    this.#store.put(key, value)
  }

  #counted(what: keyof ImportCounts): void {
    this.counts[what]++
  }
}

const NODE_KIND = 1
const CHUNK_KIND = 9
/** Session, subscription, part of a queue, will. */
const SESSION_KINDS = [3, 4, 5, 8]
