/**
 * Data as lines of JSON. Messages that queues wait for come first, each once, numbered; entries name them by number, so a
 * message that a thousand sessions wait for is there once, and one chunk of them at a time is in memory.
 */
import { type EntryForm, PART_SIZE, packetIdOf, type RecordForm, readContent, readRecordForm } from '@concordmq/state'
import { ConcordError } from '../../errors.ts'
import { type Examination, examineData } from './examine-data.ts'
import { messageFields, placedFields, STREAM_FORMAT, STREAM_VERSION, sessionFields } from './lines.ts'

/**
 * The lines of a data directory that no broker uses, each with its line feed. Rejects with a `CMQ_DATA_…` error, also for
 * damaged data: what is exported is all there is.
 *
 * ```ts
 * for await (const line of exportData('/var/lib/concordmq')) process.stdout.write(line)
 * ```
 */
export async function* exportData(directory: string): AsyncGenerator<string, void, void> {
  const found = await examineData(directory)
  try {
    if (!found.report.clean) {
      const [problem] = found.report.problems
      const detail = `${problem?.file}: ${problem?.what}: ${problem?.detail}`
      throw new ConcordError('CMQ_DATA_DAMAGED', `Cannot export ${directory}: ${detail}`)
    }
    let lines = 0
    for (const fields of thingsOf(found)) {
      lines++
      yield `${JSON.stringify(fields)}\n`
    }
    yield `${JSON.stringify({ kind: 'end', lines: lines + 1 })}\n`
  } finally {
    await found.close()
  }
}

type Line = Readonly<Record<string, unknown>>
type Of<K extends RecordForm['kind']> = Extract<RecordForm, { readonly kind: K }>
type Raw = readonly [key: Uint8Array, value: Uint8Array]

interface Owned {
  session: Raw | undefined
  readonly others: Raw[]
  readonly parts: Raw[]
}

const NODE = 1
const MESSAGE = 2
const SESSION = 3
const PART = 5
const RETAINED = 6
const CHUNK = 9

function* thingsOf(found: Examination): IterableIterator<Line> {
  const { position, timeMs } = found.report
  const { timeUs } = found.survey
  const time = new Date(timeMs).toISOString()
  yield { kind: 'header', format: STREAM_FORMAT, version: STREAM_VERSION, position, timeUs, time }
  const raws = [...found.recovery.merged()].toSorted(([a], [b]) => Buffer.compare(a, b))
  const owned = new Map<string, Owned>()
  for (const raw of raws) {
    const kind = raw[0][0] ?? 0
    if (kind === NODE) yield formOf<'node'>(raw)
    if (kind < SESSION || kind === RETAINED || kind >= CHUNK) continue
    const clientId = textAt(raw[0])
    const of = owned.get(clientId) ?? { session: undefined, others: [], parts: [] }
    owned.set(clientId, of)
    if (kind === SESSION) of.session = raw
    else if (kind === PART) of.parts.push(raw)
    else of.others.push(raw)
  }
  const numbers = new Numbers(raws.filter(([key]) => key[0] === PART))
  yield* messagesOf(found, raws, numbers)
  for (const { session, others, parts } of owned.values()) {
    if (session === undefined) continue
    yield { kind: 'session', ...sessionFields(formOf<'session'>(session).session) }
    for (const raw of others) yield otherOf(formOf<'subscription' | 'will'>(raw))
    for (const raw of parts) yield* entriesOf(formOf<'queuePart'>(raw), numbers)
  }
  for (const raw of raws) {
    if (raw[0][0] === RETAINED) yield { kind: 'retained', ...placedFields(formOf<'retained'>(raw).placed) }
  }
}

/** Which messages entries name, and their numbers in the stream. */
class Numbers {
  /** By chunk: the number of each slot; 1 until it is given: it is wanted. */
  readonly #slots = new Map<number, Uint32Array>()
  readonly #places = new Map<string, number>()
  #last = 0

  constructor(parts: readonly Raw[]) {
    for (const raw of parts) for (const { ref } of formOf<'queuePart'>(raw).entries) this.#want(ref)
  }

  get chunks(): readonly number[] {
    return [...this.#slots.keys()].toSorted((a, b) => a - b)
  }

  /** Gives the message its number, if an entry names it. */
  give(place: { readonly position: number; readonly index: number }, chunk?: number, slot = 0): number | undefined {
    const slots = chunk === undefined ? undefined : this.#slots.get(chunk)
    const name = `${place.position}.${place.index}`
    const isWanted = (slots?.[slot] ?? 0) > 0 || this.#places.get(name) === 0
    if (!isWanted) return undefined
    this.#last++
    if (slots !== undefined) slots[slot] = this.#last
    if (this.#places.has(name)) this.#places.set(name, this.#last)
    return this.#last
  }

  of(ref: EntryForm['ref']): number {
    const number =
      'chunk' in ref ? this.#slots.get(ref.chunk)?.[ref.slot] : this.#places.get(`${ref.position}.${ref.index}`)
    return number ?? 0
  }

  /** Whether entries name messages by place, which may lie in any chunk. */
  get byPlace(): boolean {
    return this.#places.size > 0
  }

  #want(ref: EntryForm['ref']): void {
    if (!('chunk' in ref)) {
      this.#places.set(`${ref.position}.${ref.index}`, 0)
      return
    }
    let slots = this.#slots.get(ref.chunk)
    if (slots === undefined) {
      slots = new Uint32Array(PART_SIZE)
      this.#slots.set(ref.chunk, slots)
    }
    slots[ref.slot] = 1
  }
}

function* messagesOf(found: Examination, raws: readonly Raw[], numbers: Numbers): IterableIterator<Line> {
  for (const chunk of numbers.byPlace ? found.chunks : numbers.chunks) {
    const bodies = readContent(found.content(chunk))
    if ('malformed' in bodies) throw new Error(`the content of chunk ${chunk} is damaged: ${bodies.malformed}`)
    for (const { slot, body } of bodies) {
      const id = numbers.give(body, chunk, slot)
      if (id !== undefined) yield { kind: 'message', id, ...placedFields(body) }
    }
  }
  for (const raw of raws) {
    if (raw[0][0] !== MESSAGE) continue
    const { placed } = formOf<'message'>(raw)
    const id = numbers.give(placed)
    if (id !== undefined) yield { kind: 'message', id, ...placedFields(placed) }
  }
}

function otherOf(form: Of<'subscription'> | Of<'will'>): Line {
  const { kind, clientId } = form
  if (form.kind === 'will') return { kind, clientId, delaySeconds: form.delaySeconds, ...messageFields(form.message) }
  const { subscriptionId, ...order } = form.order
  return { kind, clientId, ...order, ...(subscriptionId > 0 && { subscriptionId }) }
}

function* entriesOf({ clientId, number, entries }: Of<'queuePart'>, numbers: Numbers): IterableIterator<Line> {
  for (const { slot, ref, terms, received, share } of entries) {
    const q = number * PART_SIZE + slot
    const { qos, retain, subscriptionIds } = terms
    yield {
      kind: 'entry',
      clientId,
      number: q,
      packetId: packetIdOf(q),
      message: numbers.of(ref),
      qos,
      retain,
      ...(received && { received }),
      ...(share !== '' && { share }),
      ...(subscriptionIds.length > 0 && { subscriptionIds }),
    }
  }
}

function formOf<K extends RecordForm['kind']>([key, value]: Raw): Of<K> {
  const form = readRecordForm(key, value)
  // The survey has read it.
  if (form === undefined || 'malformed' in form) throw new Error('a record that was whole is damaged')
  return form as Of<K>
}

/** The client identifier that a key begins with. */
function textAt(key: Uint8Array): string {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.length)
  return bytes.toString('utf8', 3, 3 + bytes.readUInt16BE(1))
}
