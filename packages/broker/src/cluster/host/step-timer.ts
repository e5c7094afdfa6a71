/**
 * The one timer of the engine. Node's timers have milliseconds, and the engine waits for fractions of one: what is due sooner
 * than a timer could tell is looked at in every turn of the loop until then.
 *
 * It is asked for by the wall clock and waits by the monotonic one: a wall clock that is set back while it waits would otherwise
 * leave the engine asleep for as long as it was set back.
 */

/** What is due within this is waited for turn by turn, µs. */
const TURNS_US_MAX = 500
/** Longest single timer, ms; the engine asks again. */
const TIMER_MS_MAX = 60_000

export class StepTimer {
  readonly #nowUs: () => number
  readonly #due: (nowUs: number) => void
  #atUs = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #turn: NodeJS.Immediate | undefined
  #timerAtUs = Number.POSITIVE_INFINITY

  /** `nowUs`: the wall clock. `due` is called once for each `set`, at its time or a little later. */
  constructor(nowUs: () => number, due: (nowUs: number) => void) {
    this.#nowUs = nowUs
    this.#due = due
  }

  /** At this time of the wall clock, in place of any earlier request. */
  set(atUs: number): void {
    const nowUs = monotonicUs()
    this.#atUs = nowUs + (atUs - this.#nowUs())
    this.#arm(nowUs)
  }

  clear(): void {
    this.#atUs = Number.POSITIVE_INFINITY
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#turn !== undefined) clearImmediate(this.#turn)
    this.#turn = undefined
  }

  #arm(nowUs: number): void {
    const leftUs = this.#atUs - nowUs
    if (leftUs <= TURNS_US_MAX) {
      this.#turn ??= setImmediate(() => {
        this.#turn = undefined
        this.#look()
      })
      return
    }
    // A timer that rings too early does no harm and costs less than setting another one each time.
    if (this.#timer !== undefined && this.#timerAtUs <= this.#atUs) return
    clearTimeout(this.#timer)
    const ms = Math.min(TIMER_MS_MAX, Math.max(1, Math.floor(leftUs / 1000)))
    this.#timerAtUs = nowUs + ms * 1000
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#timerAtUs = Number.POSITIVE_INFINITY
      this.#look()
    }, ms)
  }

  #look(): void {
    if (this.#atUs === Number.POSITIVE_INFINITY) return
    const nowUs = monotonicUs()
    if (nowUs < this.#atUs) return this.#arm(nowUs)
    this.#atUs = Number.POSITIVE_INFINITY
    this.#due(this.#nowUs())
  }
}

function monotonicUs(): number {
  return performance.now() * 1000
}
