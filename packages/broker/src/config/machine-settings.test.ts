import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { resolveOptions } from './check.ts'
import { orderedMachineSettings, settingsDigest } from './machine-settings.ts'
import type { BrokerOptions } from './options.ts'

const digest = (options: BrokerOptions): string => Buffer.from(settingsDigest(options)).toString('hex')

describe('orderedMachineSettings()', () => {
  it('gives the machine a SHA-256 that is one, wherever it hashes', () => {
    const { sha256 } = orderedMachineSettings(resolveOptions({}), { hashing: true })
    for (const length of [0, 1, 55, 56, 64, 300]) {
      const bytes = Uint8Array.from({ length }, (_, at) => (at * 37) % 256)
      assert.deepEqual(sha256?.(bytes), new Uint8Array(createHash('sha256').update(bytes).digest()))
    }
    assert.equal(orderedMachineSettings(resolveOptions({}), { hashing: false }).sha256, undefined)
  })
})

describe('settingsDigest()', () => {
  it('differs where equal commands would give another state, and not where only clients of one node notice', () => {
    const own = digest({})
    assert.notEqual(digest({ sessions: { queueMessagesMax: 7 } }), own)
    assert.notEqual(digest({ features: { shareStrategy: 'random' } }), own)
    assert.equal(digest({ limits: { packetBytesMax: 1000 }, delivery: { queueMessagesMax: 7 } }), own)
  })

  it('differs with the topics that skip the order or are sealed, however they are written down', () => {
    const own = digest({})
    const fast = digest({ ordering: { fast: ['a/#', 'b'] } })
    assert.notEqual(fast, own)
    assert.notEqual(digest({ ordering: { sealed: ['a/#', 'b'] } }), fast)
    assert.equal(digest({ ordering: { fast: ['b', 'a/#', 'b'] } }), fast)
    assert.equal(digest({ ordering: { fast: [], sealed: [] } }), own)
  })
})
