import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { settingsDigest } from './machine-settings.ts'
import type { BrokerOptions } from './options.ts'

const digest = (options: BrokerOptions): string => Buffer.from(settingsDigest(options)).toString('hex')

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
