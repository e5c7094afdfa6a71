import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Body } from '../messages/body.ts'
import { messageBytes } from '../messages/message-codec.ts'
import { PACKED_BYTES_MAX, PAGE_BYTES, Page } from './page.ts'
import { Retained, RetainedEntry } from './retained.ts'

/** Where positions no longer fit into 32 bits. */
const FAR = 2 ** 40

function bodyOf(topic: string, bytes: number, n: number): Body {
  const payload = new Uint8Array(bytes).fill(n)
  const message = { topic, payload, qos: (n % 3) as 0 | 1 | 2, retain: true, publisher: `p${n % 2}` }
  return new Body(message, { position: FAR + n, index: n % 5, timeUs: FAR * 1_000 + n })
}

function put(retained: Retained, body: Body): RetainedEntry {
  const entry = new RetainedEntry(body)
  const before = retained.put(entry)
  if (before !== undefined) end(retained, before)
  retained.pack(entry)
  return entry
}

function end(retained: Retained, entry: RetainedEntry): void {
  entry.gone = true
  retained.end(entry)
}

/** All that an entry says of its message. */
function shown({ message, position, index, timeUs, bytes, publisher }: RetainedEntry): object {
  return { message, position, index, timeUs, bytes, publisher }
}

function expected(body: Body): object {
  const { message, position, index, timeUs } = body
  return { message, position, index, timeUs, bytes: messageBytes(message), publisher: message.publisher }
}

test('retained messages are what was put whatever came and went, and so are those that are no longer retained', () => {
  const step = fc.record({
    what: fc.constantFrom('put', 'put', 'put', 'put', 'take', 'unpack'),
    topic: fc.constantFrom('a', 'a/b', 'ä/€/𝄞', 'x'.repeat(500), ...Array.from({ length: 30 }, (_, n) => `t/${n}`)),
    bytes: fc.oneof(fc.nat(100), fc.nat(PACKED_BYTES_MAX + 50), fc.constantFrom(PACKED_BYTES_MAX - 1)),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 800, size: 'max' }), (steps) => {
      const retained = new Retained()
      const model = new Map<string, { readonly entry: RetainedEntry; readonly body: Body }>()
      const all: { readonly entry: RetainedEntry; readonly body: Body }[] = []
      for (const [n, { what, topic, bytes }] of steps.entries()) {
        const there = model.get(topic)
        if (what === 'put') {
          const body = bodyOf(topic, bytes, n)
          const made = { entry: put(retained, body), body }
          model.set(topic, made)
          all.push(made)
        } else if (there !== undefined && what === 'take') {
          retained.delete(there.entry)
          end(retained, there.entry)
          model.delete(topic)
        } else if (there !== undefined) {
          assert.equal(retained.unpack(there.entry), retained.unpack(there.entry), 'one object for all')
        }
      }
      for (const { entry, body } of all) assert.deepEqual(shown(entry), expected(body))
      for (const [topic, { entry }] of model) assert.equal(retained.entry(topic), entry)
      const bytes = [...model.values()].reduce((sum, { body }) => sum + body.bytes, 0)
      assert.deepEqual([retained.count, retained.bytes], [model.size, bytes])
    }),
    { numRuns: 60 },
  )
})

test('only what carries no more than topic and payload lies in a page, and only what is small', () => {
  const retained = new Retained()
  const inPage = (body: Body): boolean => put(retained, body).store instanceof Page
  const plain = bodyOf('t', 9, 1)
  const place = { position: 1, index: 0, timeUs: 1 }
  assert.ok(inPage(plain))
  assert.ok(inPage(bodyOf('t', PACKED_BYTES_MAX - 1, 1)))
  assert.ok(!inPage(bodyOf('t', PACKED_BYTES_MAX, 1)))
  assert.ok(!inPage(new Body({ ...plain.message, expirySeconds: 9 }, place)))
  assert.ok(!inPage(new Body({ ...plain.message, properties: { contentType: 'text' } }, place)))
  const queued = bodyOf('t', 9, 1)
  queued.references = 1
  assert.ok(!inPage(queued))
})

test('pages of which little is in use are let go, whether they are full, or were being filled', () => {
  const retained = new Retained()
  const count = 20_000
  const entries = Array.from({ length: count }, (_, n) => put(retained, bodyOf(`t/${n}`, 60, n)))
  // One of ten stays, then one topic is published again and again.
  for (const [n, entry] of entries.entries()) {
    if (n % 10 === 0) continue
    retained.delete(entry)
    end(retained, entry)
  }
  for (let n = 0; n < count; n++) put(retained, bodyOf('t/0', 60, n))
  const stores = new Set<Page | Body>()
  let tenants = 0
  retained.match('#', 0, ({ store }) => stores.add(store))
  for (const store of stores) tenants += (store as Page).tenants.length
  const bytes = retained.count * 100
  assert.ok(stores.size <= (bytes * 2) / PAGE_BYTES + 2, `${stores.size} pages`)
  assert.ok(tenants <= retained.count * 2 + PAGE_BYTES / 90, `${tenants} tenants`)
})
