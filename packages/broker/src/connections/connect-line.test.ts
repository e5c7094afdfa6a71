import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectLine, LOGINS_ALONE_MAX, LOGINS_BESIDE_MESSAGES_MAX } from './connect-line.ts'

/** A line with what is under way in it. */
class Lined {
  nowMs = 0
  messages = 0
  waited = 0
  readonly begun: number[] = []
  readonly #overs: (() => void)[] = []
  readonly line = new ConnectLine({
    messages: () => this.messages,
    waits: () => {
      this.waited++
    },
    nowMs: () => this.nowMs,
  })

  /** Logins with these numbers come. */
  come(first: number, count: number): void {
    for (let n = first; n < first + count; n++) {
      this.line.take((over) => {
        this.begun.push(n)
        this.#overs.push(over)
      })
    }
  }

  /** A message was ordered, and the line has noticed. */
  busy(): void {
    this.messages++
    this.nowMs += 1000
  }

  get underWay(): number {
    return this.#overs.length
  }

  /** The order has so many of those that are under way. */
  end(count: number): void {
    for (const over of this.#overs.splice(0, count)) over()
  }
}

test('ConnectLine lets many logins go at once while no messages are ordered, and each as soon as one is over', () => {
  const lined = new Lined()
  lined.come(0, LOGINS_ALONE_MAX + 3)
  assert.equal(lined.underWay, LOGINS_ALONE_MAX)
  assert.equal(lined.waited, 3)
  lined.end(2)
  assert.equal(lined.underWay, LOGINS_ALONE_MAX)
  assert.equal(lined.line.length, 1)
})

test('ConnectLine lets few go beside messages, first come first served, and many again when there are none', () => {
  const lined = new Lined()
  lined.busy()
  lined.come(0, 100)
  assert.equal(lined.underWay, LOGINS_BESIDE_MESSAGES_MAX)
  lined.busy()
  lined.end(10)
  assert.equal(lined.underWay, LOGINS_BESIDE_MESSAGES_MAX)
  lined.nowMs += 1000
  lined.end(1)
  assert.equal(lined.line.length, 0, 'the order had no messages for a while')
  assert.deepEqual(
    lined.begun,
    Array.from({ length: 100 }, (_, n) => n),
  )
})

test('ConnectLine lets the more go beside messages the longer the line is', () => {
  const lined = new Lined()
  lined.busy()
  lined.come(0, 6400 + LOGINS_BESIDE_MESSAGES_MAX)
  let turns = 0
  for (; lined.underWay > 0; turns++) {
    lined.busy()
    lined.end(lined.underWay)
  }
  assert.ok(turns < 250, `${turns} turns of the order`)
  assert.equal(lined.begun.length, 6400 + LOGINS_BESIDE_MESSAGES_MAX)
})

test('ConnectLine is through at once with a long line of clients that are gone', () => {
  const lined = new Lined()
  lined.busy()
  lined.come(0, LOGINS_BESIDE_MESSAGES_MAX)
  let gone = 0
  for (let n = 0; n < 50_000; n++) {
    lined.line.take((over) => {
      gone++
      over()
    })
  }
  lined.come(16, 1)
  lined.end(1)
  assert.equal(gone, 50_000)
  assert.equal(lined.begun.at(-1), 16)
})
