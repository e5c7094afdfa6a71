/**
 * The acknowledgements of one connection that must leave in the order of their requests [MQTT-4.6.0-2] [MQTT-4.6.0-3],
 * while some of them wait until the disk has what they promise and others could leave at once.
 *
 *   reserve ─▶ │ waits │ ready │ ready │ waits │ ─▶ fill: ready ones at the head leave
 *
 * Made by a connection when its first answer has to wait; a number for each answer, no object.
 */

/** Not answered yet. */
const WAITS = -1
/** Nobody waits for an answer any more. */
const NOTHING = -2
const COMPACT_MIN = 1024

export class AnswerLine {
  readonly #send: (firstByte: number, packetId: number, reasonCode: number) => void
  #answers: number[] = []
  #head = 0
  /** Ticket of `#answers[0]`. */
  #first = 0

  constructor(send: (firstByte: number, packetId: number, reasonCode: number) => void) {
    this.#send = send
  }

  /** Answers that have not left. */
  get length(): number {
    return this.#answers.length - this.#head
  }

  /** Takes a place in the line. */
  reserve(): number {
    this.#answers.push(WAITS)
    return this.#first + this.#answers.length - 1
  }

  /** An answer behind those that wait. */
  push(firstByte: number, packetId: number, reasonCode: number): void {
    this.#answers.push(pack(firstByte, packetId, reasonCode))
  }

  fill(ticket: number, firstByte: number, packetId: number, reasonCode: number): void {
    this.#fill(ticket, pack(firstByte, packetId, reasonCode))
  }

  /** The place goes without an answer. */
  giveUp(ticket: number): void {
    this.#fill(ticket, NOTHING)
  }

  #fill(ticket: number, answer: number): void {
    this.#answers[ticket - this.#first] = answer
    const answers = this.#answers
    while (this.#head < answers.length) {
      const next = answers[this.#head] as number
      if (next === WAITS) break
      this.#head++
      if (next !== NOTHING) this.#send(Math.floor(next / 0x1_00_00_00), Math.floor(next / 0x100) & 0xffff, next & 0xff)
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
}

function pack(firstByte: number, packetId: number, reasonCode: number): number {
  return firstByte * 0x1_00_00_00 + packetId * 0x100 + reasonCode
}
