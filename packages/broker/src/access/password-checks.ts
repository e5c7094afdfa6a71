/**
 * Checks passwords off the event loop, a few at a time: a check takes 8 to 25 ms of a core and 19 MiB, and anybody who can
 * connect can ask for one. What is above `checksMax` waits, what is above `queueMax` is refused as busy, so a storm of
 * logins delays logins and nothing else.
 */
import { timingSafeEqual } from 'node:crypto'
import { type PasswordRecord, passwordHash } from './password-record.ts'

export interface PasswordCheckLimits {
  readonly checksMax: number
  readonly queueMax: number
}

interface Check {
  readonly record: PasswordRecord
  readonly password: Uint8Array
  readonly gone: () => boolean
  readonly resolve: (fits: boolean) => void
  readonly reject: (error: unknown) => void
}

export class PasswordChecks {
  #limits: PasswordCheckLimits
  #running = 0
  /** First in, first out: a Set keeps the order of insertion and drops its first element in constant time. */
  readonly #waiting = new Set<Check>()

  constructor(limits: PasswordCheckLimits) {
    this.#limits = limits
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#waiting.size
  }

  set limits(limits: PasswordCheckLimits) {
    this.#limits = limits
    this.#startNext()
  }

  /**
   * Whether the password fits the record; `busy` at once when too many checks wait. The bytes must not change meanwhile.
   * A check whose asker is `gone` when its turn comes is not made, and fails: else a storm of clients that give up would
   * keep the cores busy long after it.
   */
  check(record: PasswordRecord, password: Uint8Array, gone: () => boolean = () => false): Promise<boolean> | 'busy' {
    const { checksMax, queueMax } = this.#limits
    if (this.#running >= checksMax && this.#waiting.size >= queueMax) return 'busy'
    return new Promise((resolve, reject) => {
      this.#waiting.add({ record, password, gone, resolve, reject })
      this.#startNext()
    })
  }

  #startNext(): void {
    for (const check of this.#waiting) {
      if (this.#running >= this.#limits.checksMax) return
      this.#waiting.delete(check)
      if (check.gone()) {
        check.resolve(false)
        continue
      }
      this.#running++
      fits(check.record, check.password)
        .then(check.resolve, check.reject)
        .finally(() => {
          this.#running--
          this.#startNext()
        })
    }
  }
}

async function fits(record: PasswordRecord, password: Uint8Array): Promise<boolean> {
  const hash = await passwordHash(record, password)
  return hash.length === record.hash.length && timingSafeEqual(hash, record.hash)
}
