import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConcordError } from '../errors.ts'
import { checkListener, resolveAccess, resolveOptions } from './check.ts'
import { type OptionKey, optionKeys } from './defaults.ts'
import type { BrokerOptions, ListenerOptions } from './options.ts'
import { suggest } from './suggest.ts'

/** What a program without types may hand in. */
const options = (value: unknown): BrokerOptions => value as BrokerOptions

function problems(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof ConcordError)
    assert.equal(error.code, 'CMQ_OPTIONS')
    return error.message
  }
  throw new assert.AssertionError({ message: 'nothing was refused' })
}

const sections = Object.entries(optionKeys) as [string, Record<string, OptionKey<unknown>>][]

describe('resolveOptions()', () => {
  it('fills in every default of the table, and nothing else', () => {
    const settings = resolveOptions({}) as unknown as Record<string, Record<string, unknown>>
    assert.deepEqual(Object.keys(settings).sort(), Object.keys(optionKeys).sort())
    for (const [name, keys] of sections) {
      for (const [key, { default: value }] of Object.entries(keys)) assert.deepEqual(settings[name]?.[key], value)
      assert.deepEqual(Object.keys(settings[name] ?? {}).sort(), Object.keys(keys).sort())
    }
  })

  it('keeps what is given and fills in the rest of its section', () => {
    const { limits, sys } = resolveOptions({ limits: { packetBytesMax: 1_000, maximumQoS: 1 }, sys: {} })
    assert.equal(limits.packetBytesMax, 1_000)
    assert.equal(limits.maximumQoS, 1)
    assert.equal(limits.receiveMaximum, 1_024)
    assert.equal(sys.intervalSeconds, 10)
  })

  it('takes undefined for not given', () => {
    const settings = resolveOptions(options({ limits: { keepAliveMax: undefined }, sys: undefined }))
    assert.equal(settings.limits.keepAliveMax, 3_600)
    assert.equal(settings.sys.intervalSeconds, 10)
  })

  it('takes both ends of every range and refuses what lies beyond, with the path and the rule', () => {
    for (const [name, keys] of sections) {
      for (const [key, { range, rule }] of Object.entries(keys)) {
        if (range === undefined) continue
        for (const good of [range.min, range.max]) resolveOptions(options({ [name]: { [key]: good } }))
        for (const bad of [range.min - 1, range.max + 1, range.min + 0.5, Number.NaN, String(range.min), null]) {
          const message = problems(() => resolveOptions(options({ [name]: { [key]: bad } })))
          assert.ok(message.includes(`${name}.${key} must be ${rule}, not `), message)
        }
      }
    }
  })

  it('takes every choice and refuses others', () => {
    for (const [name, keys] of sections) {
      for (const [key, { choices }] of Object.entries(keys)) {
        for (const good of choices ?? []) resolveOptions(options({ [name]: { [key]: good } }))
        if (choices !== undefined) problems(() => resolveOptions(options({ [name]: { [key]: 'sideways' } })))
      }
    }
  })

  it('reports all problems together, with suggestions for unknown keys', () => {
    const message = problems(() =>
      resolveOptions(
        options({
          acess: {},
          limits: { packetByteMax: 5, inflightMax: 0, zzz: 1 },
          sessions: 'none',
          features: { shareStrategy: 'fair' },
          logger: { info() {} },
        }),
      ),
    )
    for (const part of [
      'acess is unknown, did you mean "access"?',
      'limits.packetByteMax is unknown, did you mean "packetBytesMax"?',
      'limits.zzz is unknown;',
      'limits.inflightMax must be an integer from 1 to 65535 (messages), not 0',
      'sessions must be an object, not "none"',
      'features.shareStrategy must be one of "roundRobin", "leastInflight", "stickyByPublisher", "random", not "fair"',
      'logger must be a Logger with error(), warn(), info() and debug(), not an object',
    ]) {
      assert.ok(message.includes(part), `${part}\nis not in\n${message}`)
    }
  })

  it('refuses users that are no Map of texts, without printing records', () => {
    const record = '$argon2id$v=19$m=19456,t=2,p=1$c2VjcmV0$c2VjcmV0'
    for (const users of [{ alice: record }, new Map([['', record]]), new Map([['alice', 5]]), new Map([[5, record]])]) {
      const message = problems(() => resolveOptions(options({ access: { users } })))
      assert.match(message, /access\.users must be a Map of user names to Argon2id records/)
      assert.ok(!message.includes('argon2id$'))
    }
  })

  it('passes an enhanced authenticator on and refuses half of one', () => {
    const enhanced = { methods: ['SCRAM-SHA-256'], step: () => ({ verdict: 'refuse', reasonCode: 0x87 }) as const }
    assert.equal(resolveAccess({ enhanced }).enhanced, enhanced)
    assert.match(
      problems(() => resolveOptions(options({ access: { enhanced: { methods: [] } } }))),
      /access\.enhanced must be an EnhancedAuthenticator/,
    )
  })

  it('refuses options that are no object', () => {
    for (const value of [null, 5, 'fast', []]) problems(() => resolveOptions(options(value)))
  })
})

describe('resolveAccess()', () => {
  it('names problems by their full path', () => {
    assert.match(
      problems(() => resolveAccess({ alowAnonymous: true } as object)),
      /access\.alowAnonymous is unknown, did you mean "allowAnonymous"\?/,
    )
  })
})

describe('checkListener()', () => {
  const check = (value: unknown) => checkListener(value as ListenerOptions)

  it('takes every kind', () => {
    const tls = { cert: 'c', key: 'k', ca: 'r', requireClientCertificate: false }
    check({ kind: 'tcp', port: 0 })
    check({ kind: 'tcp', host: '::1', port: 65_535, name: 'main' })
    check({ kind: 'ws', port: 8_080 })
    check({ kind: 'tls', port: 8_883, tls })
    check({ kind: 'wss', port: 8_443, tls })
    check({ kind: 'unix', path: '/tmp/mqtt.sock' })
  })

  it('refuses what cannot be meant', () => {
    assert.match(
      problems(() => check({ kind: 'tpc', port: 1 })),
      /listener\.kind must be one of "tcp".*, not "tpc"/,
    )
    assert.match(
      problems(() => check(undefined)),
      /listener must be/,
    )
    assert.match(
      problems(() => check({ kind: 'tcp' })),
      /listener\.port must be .*, not missing/,
    )
    assert.match(
      problems(() => check({ kind: 'tcp', port: 65_536 })),
      /listener\.port must be .*, not 65536/,
    )
    assert.match(
      problems(() => check({ kind: 'tcp', port: 1, hots: '::' })),
      /listener\.hots .*did you mean "host"/,
    )
    assert.match(
      problems(() => check({ kind: 'unix', path: '' })),
      /listener\.path must be text that is not empty/,
    )
    const message = problems(() =>
      check({ kind: 'tls', port: 1, tls: { cert: 'c', key: Buffer.from('secret'), caa: 'x' } }),
    )
    assert.match(message, /listener\.tls\.key must be a PEM text, not an object/)
    assert.match(message, /listener\.tls\.caa is unknown, did you mean "ca"\?/)
  })
})

describe('suggest()', () => {
  it('finds slips and leaves other words alone', () => {
    const keys = ['allowAnonymous', 'users', 'host']
    assert.equal(suggest('allowanonymus', keys), 'allowAnonymous')
    assert.equal(suggest('user', keys), 'users')
    assert.equal(suggest('hots', ['path', 'host', 'port']), 'host')
    assert.equal(suggest('payload', keys), undefined)
    assert.equal(suggest('x'.repeat(10_000), keys), undefined)
  })
})
