/**
 * Where each login is a command of the order, thousands at once take what messages need: every node applies them, all at the same
 * time. So few are on their way at a time while messages are ordered, and many while none are; the others wait their turn.
 *
 *   CONNECT ─ authenticated ─▶ fewer than the maximum under way? ─yes─▶ order ─▶ CONNACK
 *                                    └─no─▶ line, first come first served ─▶ one more when one is done
 *
 * Whoever is gone when its turn comes is passed over, so a line of clients that gave up costs nothing. It is as long as there may be
 * connections: who waits has one, and nothing but it is held.
 */
import { Fifo } from '../delivery/fifo.ts'

/** Logins of one node that are on their way at once, while messages are ordered … */
export const LOGINS_BESIDE_MESSAGES_MAX = 16
/** … and while there are none. */
export const LOGINS_ALONE_MAX = 256
/** Beside messages, too, so many that a line is through in about as many turns of the order: no client waits for long. */
const LINE_TURNS = 64
/** How often it is looked at whether there are messages. */
const LOOK_MS = 100

export interface ConnectLineOptions {
  /** Messages that were ordered so far, of all nodes. */
  readonly messages: () => number
  /** Called when one has to wait. */
  readonly waits: () => void
  readonly nowMs: () => number
}

/** A login, when its turn has come; it says once when it is over, whatever became of it. */
export type Login = (over: () => void) => void

export class ConnectLine {
  readonly #o: ConnectLineOptions
  readonly #line = new Fifo<Login>()
  #underWay = 0
  #goesOn = false
  #besideMessages = false
  #messages = 0
  #lookedMs = Number.NEGATIVE_INFINITY

  constructor(options: ConnectLineOptions) {
    this.#o = options
  }

  /** Logins that wait. */
  get length(): number {
    return this.#line.length
  }

  /** Begins the login now, or when it is its turn: then it says false. */
  take(login: Login): boolean {
    this.#look()
    if (this.length === 0 && this.#underWay < this.#max) {
      this.#begin(login)
      return true
    }
    this.#line.push(login)
    this.#o.waits()
    return false
  }

  /** Nothing is ordered, so nobody's turn comes: all that wait begin now. */
  beginAll(): void {
    for (let login = this.#line.shift(); login !== undefined; login = this.#line.shift()) this.#begin(login)
  }

  get #max(): number {
    if (!this.#besideMessages) return LOGINS_ALONE_MAX
    return Math.min(Math.max(LOGINS_BESIDE_MESSAGES_MAX, Math.ceil(this.length / LINE_TURNS)), LOGINS_ALONE_MAX)
  }

  #goOn(): void {
    // One that is over at once calls this again.
    if (this.#goesOn) return
    this.#goesOn = true
    try {
      this.#look()
      while (this.#underWay < this.#max) {
        const login = this.#line.shift()
        if (login === undefined) return
        this.#begin(login)
      }
    } finally {
      this.#goesOn = false
    }
  }

  #begin(login: Login): void {
    this.#underWay++
    login(() => {
      this.#underWay--
      this.#goOn()
    })
  }

  #look(): void {
    const nowMs = this.#o.nowMs()
    if (nowMs < this.#lookedMs + LOOK_MS) return
    this.#lookedMs = nowMs
    const messages = this.#o.messages()
    this.#besideMessages = messages !== this.#messages
    this.#messages = messages
  }
}
