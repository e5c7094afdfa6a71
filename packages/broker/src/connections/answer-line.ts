/**
 * The acknowledgements of one connection that must leave in the order of their requests [MQTT-4.6.0-2] [MQTT-4.6.0-3],
 * while some of them wait until the disk has what they promise and others could leave at once.
 *
 *   reserve ─▶ │ waits │ ready │ run waits │ ready │ waits │ ─▶ fill: ready ones at the head leave
 *
 * Made by a connection when its first answer has to wait. A place is a number for a single answer, without an object; the
 * answers of a run of requests, which become ready together, share a place.
 */

/** Not answered yet. */
const WAITS = -1
/** Nobody waits for an answer any more. */
const NOTHING = -2
const COMPACT_MIN = 1024

/** What the requests of a run are answered. */
export interface RunAnswer {
  readonly firstByte: number
  readonly reasonCode: number
  /** So many of them, the first ones, get `reasonCode`. */
  readonly taken: number
  /** What the others get; undefined: no answer. */
  readonly refusal: number | undefined
}

interface Run {
  readonly packetIds: Uint16Array
  answer: RunAnswer | undefined
}

export interface AnswerSender {
  send(firstByte: number, packetId: number, reasonCode: number): void
  sendRun(firstByte: number, packetIds: Uint16Array, reasonCode: number): void
}

export class AnswerLine {
  readonly #sender: AnswerSender
  #answers: (number | Run)[] = []
  #head = 0
  /** Ticket of `#answers[0]`. */
  #first = 0

  constructor(sender: AnswerSender) {
    this.#sender = sender
  }

  /** Places whose answers have not left. */
  get length(): number {
    return this.#answers.length - this.#head
  }

  /** Takes a place in the line. */
  reserve(): number {
    return this.#push(WAITS)
  }

  /** Takes a place for the answers to requests under these packet identifiers. */
  reserveRun(packetIds: Uint16Array): number {
    return this.#push({ packetIds, answer: undefined })
  }

  /** An answer behind those that wait. */
  push(firstByte: number, packetId: number, reasonCode: number): void {
    this.#answers.push(pack(firstByte, packetId, reasonCode))
  }

  fill(ticket: number, firstByte: number, packetId: number, reasonCode: number): void {
    this.#answers[ticket - this.#first] = pack(firstByte, packetId, reasonCode)
    this.#advance()
  }

  fillRun(ticket: number, answer: RunAnswer): void {
    ;(this.#answers[ticket - this.#first] as Run).answer = answer
    this.#advance()
  }

  /** The place goes without an answer. */
  giveUp(ticket: number): void {
    this.#answers[ticket - this.#first] = NOTHING
    this.#advance()
  }

  #push(place: number | Run): number {
    this.#answers.push(place)
    return this.#first + this.#answers.length - 1
  }

  #advance(): void {
    const answers = this.#answers
    while (this.#head < answers.length) {
      const next = answers[this.#head] as number | Run
      if (next === WAITS || (typeof next === 'object' && next.answer === undefined)) break
      this.#head++
      if (next !== NOTHING) this.#send(next)
    }
    if (this.#head === answers.length) {
      this.#first += this.#head
      this.#answers = []
      this.#head = 0
    } else if (this.#head > COMPACT_MIN && this.#head * 2 > answers.length) {
      this.#first += this.#head
      this.#answers = answers.slice(this.#head)
      this.#head = 0
    }
  }

  #send(ready: number | Run): void {
    if (typeof ready === 'number') {
      this.#sender.send(Math.floor(ready / 0x1_00_00_00), Math.floor(ready / 0x100) & 0xffff, ready & 0xff)
      return
    }
    const { firstByte, reasonCode, taken, refusal } = ready.answer as RunAnswer
    const { packetIds } = ready
    if (taken > 0) this.#sender.sendRun(firstByte, packetIds.subarray(0, taken), reasonCode)
    if (refusal !== undefined && taken < packetIds.length) {
      this.#sender.sendRun(firstByte, packetIds.subarray(taken), refusal)
    }
  }
}

function pack(firstByte: number, packetId: number, reasonCode: number): number {
  return firstByte * 0x1_00_00_00 + packetId * 0x100 + reasonCode
}
