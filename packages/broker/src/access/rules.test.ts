import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterMatches } from '@concordmq/protocol'
import fc from 'fast-check'
import type { PermissionOptions, PermissionRule } from '../config/options.ts'
import { levelsOfFilter, overlaps } from './filter-sets.ts'
import type { Action, PermissionClient } from './permissions.ts'
import { levelsFor, levelsOfRule, RuleTrie } from './rule-trie.ts'
import { Rules } from './rules.ts'

type Given = Partial<Pick<PermissionClient, 'clientId' | 'principal' | 'remoteAddress' | 'grants'>>

function client(given: Given = {}): PermissionClient {
  return {
    clientId: 'c1',
    principal: 'alice',
    remoteAddress: '192.0.2.1',
    grants: undefined,
    rights: undefined,
    ...given,
  }
}

function rulesFor(user: string, topics: readonly PermissionRule[], more: Partial<PermissionOptions> = {}): Rules {
  return new Rules({ default: 'allow', users: new Map([[user, { topics }]]), ...more })
}

function may(rules: Rules, action: Action, topic: string, given: Given = {}): boolean {
  return action === 'publish' ? rules.mayPublish(client(given), topic) : rules.mayReceive(client(given), topic)
}

const both = ['publish', 'subscribe'] as const

test('the first matching rule decides, and what no rule matches takes the default [row F28]', () => {
  const topics: PermissionRule[] = [
    { filter: 'a/b', allowed: ['publish'] },
    { filter: 'a/+', denied: ['publish'] },
    { filter: 'a/#', allowed: both },
  ]
  for (const [preset, other] of [
    ['allow', true],
    ['deny', false],
  ] as const) {
    const rules = rulesFor('alice', topics, { default: preset })
    assert.equal(may(rules, 'publish', 'a/b'), true)
    assert.equal(may(rules, 'subscribe', 'a/b'), false)
    assert.equal(may(rules, 'publish', 'a/c'), false)
    // A rule that only denies leaves the other action to the default.
    assert.equal(may(rules, 'subscribe', 'a/c'), other)
    assert.equal(may(rules, 'publish', 'a/b/c'), true)
    assert.equal(may(rules, 'publish', 'a'), true)
    assert.equal(may(rules, 'publish', 'b'), other)
  }
})

test('both actions listed as denied are both denied, whatever the default [row F28]', () => {
  for (const preset of ['allow', 'deny'] as const) {
    const rules = rulesFor(
      'alice',
      [
        { filter: 'a', denied: both },
        { filter: '#', allowed: both },
      ],
      { default: preset },
    )
    assert.equal(may(rules, 'publish', 'a'), false)
    assert.equal(may(rules, 'subscribe', 'a'), false)
  }
})

test("a rule with an empty `allowed` denies both, as FoxMQ's does", () => {
  const rules = rulesFor('alice', [{ filter: 'a', allowed: [] }])
  assert.equal(may(rules, 'publish', 'a'), false)
  assert.equal(may(rules, 'subscribe', 'a'), false)
})

test('the four access codes, as pairs of lists, times publish and subscribe [row C11]', () => {
  const codes: readonly (readonly [readonly Action[], boolean, boolean])[] = [
    [[], false, false],
    [['subscribe'], false, true],
    [['publish'], true, false],
    [both, true, true],
  ]
  for (const preset of ['allow', 'deny'] as const) {
    for (const [allowed, publish, subscribe] of codes) {
      const rules = rulesFor('alice', [{ filter: 'x/#', allowed }], { default: preset })
      assert.equal(may(rules, 'publish', 'x/y'), publish)
      assert.equal(may(rules, 'subscribe', 'x/y'), subscribe)
      assert.equal(rules.maySubscribe(client(), 'x/+'), subscribe)
    }
  }
})

test('filters match by the rules of MQTT, not loosely [section 8 item 3]', () => {
  const rules = rulesFor(
    'alice',
    [
      { filter: 'user/1', allowed: both },
      { filter: 'a/#', allowed: both },
    ],
    { default: 'deny' },
  )
  assert.equal(may(rules, 'subscribe', 'user/1'), true)
  assert.equal(may(rules, 'subscribe', 'user/1/secret'), false)
  assert.equal(may(rules, 'subscribe', 'user/12'), false)
  assert.equal(may(rules, 'subscribe', 'a'), true)
  assert.equal(
    may(rulesFor('alice', [{ filter: '#', allowed: both }], { default: 'deny' }), 'subscribe', '$SYS/x'),
    false,
  )
  assert.equal(
    may(rulesFor('alice', [{ filter: '+/x', allowed: both }], { default: 'deny' }), 'subscribe', '$SYS/x'),
    false,
  )
  assert.equal(
    may(rulesFor('alice', [{ filter: '$SYS/#', allowed: both }], { default: 'deny' }), 'subscribe', '$SYS/x'),
    true,
  )
})

test('the tree of rules decides as comparing rule after rule does', () => {
  const level = fc.constantFrom('a', 'b', '', '$x', '+', '%c', '%u', 'p-%c')
  const filter = fc
    .tuple(fc.array(level, { maxLength: 3 }), fc.boolean())
    .map(([levels, rest]) => [...levels, ...(rest || levels.length === 0 ? ['#'] : [])].join('/'))
    .filter((text) => text !== '')
  const topic = fc
    .array(fc.constantFrom('a', 'b', '', '$x', 'me', 'you', 'p-me'), { minLength: 1, maxLength: 4 })
    .map((levels) => levels.join('/'))
    .filter((text) => text !== '')
  const rule = fc.record({
    filter,
    allowed: fc.constantFrom<Action[]>([], ['publish'], ['subscribe'], ['publish', 'subscribe']),
  })
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 8 }), topic, fc.boolean(), (topics, name, allow) => {
      const rules = rulesFor('you', topics, { default: allow ? 'allow' : 'deny' })
      const me = { clientId: 'me', principal: 'you' }
      const first = topics.find(({ filter: text }) =>
        filterMatches(text.replaceAll('%c', 'me').replaceAll('%u', 'you'), name),
      )
      for (const action of both) {
        assert.equal(may(rules, action, name, me), first === undefined ? allow : first.allowed.includes(action))
      }
    }),
    { numRuns: 5_000 },
  )
})

test('everybody else is `*`, the anonymous client too; who has a table of his own is not', () => {
  const rules = new Rules({
    default: 'deny',
    users: new Map([
      ['*', { topics: [{ filter: 'open', allowed: both }] }],
      ['alice', { topics: [{ filter: 'hers', allowed: both }] }],
      ['', { topics: [{ filter: 'nobody', allowed: both }] }],
    ]),
  })
  assert.equal(may(rules, 'publish', 'open', { principal: 'bob' }), true)
  assert.equal(may(rules, 'publish', 'open', { principal: 'alice' }), false)
  assert.equal(may(rules, 'publish', 'hers', { principal: 'alice' }), true)
  assert.equal(may(rules, 'publish', 'nobody', { principal: '' }), true)
  assert.equal(may(rules, 'publish', 'open', { principal: '' }), false)
  // A user who calls himself * gains nothing by it.
  assert.equal(may(rules, 'publish', 'hers', { principal: '*' }), false)
})

test('rules by address, client identifier and user: the most specific table first, groups behind it [rows C10, C12]', () => {
  const rules = new Rules({
    default: 'deny',
    addresses: new Map([
      ['127.0.0.0/8', { topics: [{ filter: '#', allowed: both }] }],
      ['127.0.0.9', { topics: [{ filter: 'x', denied: both }] }],
    ]),
    clients: new Map([
      ['gateway-*', { groups: ['gateways'] }],
      ['gateway-7', { topics: [{ filter: 'x', denied: ['publish'] }], groups: ['gateways'] }],
    ]),
    users: new Map([['alice', { topics: [{ filter: 'x', allowed: ['subscribe'] }] }]]),
    groups: new Map([
      [
        'gateways',
        [
          { filter: 'x', allowed: both },
          { filter: 'up/%c', allowed: ['publish'] },
        ],
      ],
    ]),
  })
  assert.equal(may(rules, 'publish', 'x', { remoteAddress: '127.0.0.1' }), true)
  assert.equal(may(rules, 'publish', 'x', { remoteAddress: '127.0.0.9' }), false)
  assert.equal(may(rules, 'publish', 'x', { remoteAddress: '::ffff:127.0.0.1' }), true)
  assert.equal(may(rules, 'publish', 'x', { clientId: 'gateway-1' }), true)
  assert.equal(may(rules, 'publish', 'x', { clientId: 'gateway-7' }), false)
  assert.equal(may(rules, 'publish', 'up/gateway-7', { clientId: 'gateway-7' }), true)
  assert.equal(may(rules, 'publish', 'up/gateway-8', { clientId: 'gateway-7' }), false)
  assert.equal(may(rules, 'publish', 'x'), false)
  assert.equal(may(rules, 'subscribe', 'x'), true)
})

test("comqtt's ledger says the same as tables: peach, melon, others and one address [row C10]", () => {
  const rules = new Rules({
    default: 'deny',
    addresses: new Map([['127.0.0.1', { topics: [{ filter: '#', allowed: both }] }]]),
    users: new Map([
      [
        'melon',
        {
          topics: [
            { filter: 'melon/#', allowed: both },
            { filter: 'updates/#', allowed: ['publish'] },
          ],
        },
      ],
      ['*', { topics: [{ filter: '#', allowed: ['subscribe'] }] }],
    ]),
  })
  assert.equal(may(rules, 'publish', 'updates/x', { principal: 'melon' }), true)
  assert.equal(may(rules, 'subscribe', 'updates/x', { principal: 'melon' }), false)
  assert.equal(may(rules, 'publish', 'melon/x', { principal: 'melon' }), true)
  assert.equal(rules.maySubscribe(client({ principal: 'other' }), '#'), true)
  assert.equal(may(rules, 'publish', 'x', { principal: 'other' }), false)
  assert.equal(may(rules, 'publish', 'x', { principal: 'other', remoteAddress: '127.0.0.1' }), true)
})

test('%c and %u are one literal level: no name widens a rule', () => {
  const topics: PermissionRule[] = [
    { filter: '%c/#', allowed: both },
    { filter: 'by/%u', allowed: both },
    { filter: 'dev-%c/%u', allowed: both },
  ]
  const rules = rulesFor('*', topics, { default: 'deny' })
  assert.equal(may(rules, 'publish', 'c1/x', {}), true)
  assert.equal(may(rules, 'publish', 'dev-c1/alice', {}), true)
  assert.equal(may(rules, 'publish', 'c2/x', {}), false)
  const odd = ['+', '#', 'a/b', 'a/#', '/', '', '$SYS', '$share', '%u', 'c1/../c2', 'é', '+x']
  const topicsTried = [
    'a',
    'a/b',
    'a/b/c',
    'x/y',
    '/',
    '$SYS/x',
    '$share/x',
    'alice/x',
    '%u/x',
    'by/alice',
    'by/a',
    'by/',
    'by/x/y',
  ]
  for (const name of odd) {
    for (const [who, expected] of [
      [
        { clientId: name, principal: '' },
        (topic: string) =>
          !/[/+#]/.test(name) &&
          name !== '' &&
          !name.startsWith('$') &&
          (topic === name || topic.startsWith(`${name}/`)),
      ],
      [
        { clientId: '', principal: name },
        (topic: string) => name !== '' && !/[/+#]/.test(name) && topic === `by/${name}`,
      ],
    ] as const) {
      for (const topic of topicsTried) {
        assert.equal(may(rules, 'publish', topic, who), expected(topic), `${JSON.stringify(who)} ${topic}`)
      }
      for (const wide of ['#', '+/#', '+', 'by/+', 'by/#', '$SYS/#', 'a/#', '/#']) {
        assert.equal(
          rules.maySubscribe(client(who), wide),
          expected(wide.replace('/#', '/x')) && !wide.startsWith('+') && wide !== '#',
          `${JSON.stringify(who)} ${wide}`,
        )
      }
    }
  }
  // A level of a filter that looks like the name is still a wildcard.
  assert.equal(rules.maySubscribe(client({ clientId: '+' }), '+/x'), false)
})

test('a subscription wider than the rules is refused, or narrowed when asked: a/+ never admits reading a/b/c through a/#', () => {
  const topics: PermissionRule[] = [{ filter: 'a/+', allowed: ['subscribe'] }]
  const refusing = rulesFor('alice', topics, { default: 'deny' })
  const narrowing = rulesFor('alice', topics, { default: 'deny', widerSubscriptions: 'narrow' })
  for (const [filter, refuse, narrow] of [
    ['a/b', true, true],
    ['a/+', true, true],
    ['a/#', false, true],
    ['#', false, true],
    ['+/b', false, true],
    ['b/#', false, false],
    ['a/b/c', false, false],
    ['a/b/#', false, true],
    ['$SYS/#', false, false],
  ] as const) {
    assert.equal(refusing.maySubscribe(client(), filter), refuse, filter)
    assert.equal(narrowing.maySubscribe(client(), filter), narrow, filter)
  }
  for (const rules of [refusing, narrowing]) {
    assert.equal(may(rules, 'subscribe', 'a/b/c'), false)
    assert.equal(may(rules, 'subscribe', 'a/b'), true)
  }
})

test('a rule that denies a part refuses a subscription to the whole, unless an earlier one allows the whole', () => {
  const allow = { filter: '#', allowed: both }
  const deny = { filter: 'secret/#', denied: both }
  const first = rulesFor('alice', [deny, allow])
  assert.equal(first.maySubscribe(client(), '#'), false)
  assert.equal(first.maySubscribe(client(), 'open/#'), true)
  assert.equal(rulesFor('alice', [deny, allow], { widerSubscriptions: 'narrow' }).maySubscribe(client(), '#'), true)
  assert.equal(
    rulesFor('alice', [deny, allow], { widerSubscriptions: 'narrow' }).maySubscribe(client(), 'secret/+'),
    false,
  )
  assert.equal(rulesFor('alice', [allow, deny]).maySubscribe(client(), '#'), true)
  assert.equal(rulesFor('alice', [{ filter: '$SYS/#', denied: both }]).maySubscribe(client(), '#'), true)
})

test('the tree finds the rules that share a topic with a filter as comparing each does', () => {
  const level = fc.constantFrom('a', '', '$x', '+', '%c', '%u')
  const filter = fc
    .tuple(fc.array(level, { maxLength: 3 }), fc.boolean())
    .map(([levels, rest]) => [...levels, ...(rest || levels.length === 0 ? ['#'] : [])].join('/'))
    .filter((text) => text !== '')
  const names = fc.constantFrom('a', '', '$x', '+', 'a/b', 'z')
  fc.assert(
    fc.property(fc.uniqueArray(filter, { maxLength: 8 }), filter, names, names, (list, wanted, clientId, principal) => {
      const who = { clientId, principal }
      const trie = new RuleTrie()
      for (const [i, text] of list.entries()) trie.add(levelsOfRule(text), i)
      const asked = levelsOfFilter(wanted.replaceAll('%', 'p'))
      const expected = list.flatMap((text, i) => {
        const levels = levelsFor(levelsOfRule(text), who)
        return levels !== undefined && overlaps(levels, asked) ? [i] : []
      })
      const work = { left: 1_000 }
      assert.deepEqual(trie.overlapping(asked, who, work), expected, `${list.join(' ')} | ${wanted}`)
      assert.ok(work.left < 1_000)
    }),
    { numRuns: 20_000 },
  )
})

test('maySubscribe() grants nothing of which a topic may not be received', () => {
  const level = fc.constantFrom('a', 'b', '+')
  const filter = fc
    .tuple(fc.array(level, { maxLength: 3 }), fc.boolean())
    .map(([levels, rest]) => [...levels, ...(rest || levels.length === 0 ? ['#'] : [])].join('/'))
  const rule = fc.record({ filter, allowed: fc.constantFrom<Action[]>([], ['subscribe']) })
  const names = ['a', 'b', 'z']
  const topics = names.flatMap((x) => [
    x,
    ...names.flatMap((y) => [`${x}/${y}`, ...names.flatMap((z) => [`${x}/${y}/${z}`, `${x}/${y}/${z}/z`])]),
  ])
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 6 }), filter, fc.boolean(), (list, wanted, allow) => {
      const rules = rulesFor('alice', list, { default: allow ? 'allow' : 'deny' })
      const narrow = rulesFor('alice', list, { default: allow ? 'allow' : 'deny', widerSubscriptions: 'narrow' })
      const inside = topics.filter((topic) => filterMatches(wanted, topic))
      const readable = inside.filter((topic) => may(rules, 'subscribe', topic))
      if (rules.maySubscribe(client(), wanted)) assert.equal(readable.length, inside.length)
      if (readable.length > 0) assert.ok(narrow.maySubscribe(client(), wanted))
    }),
    { numRuns: 5_000 },
  )
})

test("a token's filters bound its holder, and the holder's own tables only take away", () => {
  const rules = new Rules({
    default: 'allow',
    users: new Map([
      [
        'alice',
        {
          topics: [
            { filter: 'a/secret', denied: both },
            { filter: 'more/#', allowed: both },
          ],
        },
      ],
      ['*', { topics: [{ filter: '#', denied: both }] }],
    ]),
  })
  const grants = { publish: ['a/+'], subscribe: ['a/#'] }
  assert.equal(may(rules, 'publish', 'a/x', { grants }), true)
  assert.equal(may(rules, 'publish', 'a/x', { grants, principal: 'bob' }), true)
  assert.equal(may(rules, 'publish', 'a/secret', { grants }), false)
  assert.equal(may(rules, 'publish', 'more/x', { grants }), false)
  assert.equal(may(rules, 'publish', 'a/x/y', { grants }), false)
  assert.equal(rules.maySubscribe(client({ grants, principal: 'bob' }), 'a/#'), true)
  assert.equal(rules.maySubscribe(client({ grants }), 'a/#'), false)
  assert.equal(rules.maySubscribe(client({ grants, principal: 'bob' }), '#'), false)
  // A claim that is absent says nothing.
  assert.equal(may(rules, 'publish', 'more/x', { grants: { publish: undefined, subscribe: [] } }), true)
  assert.equal(may(rules, 'subscribe', 'a/x', { grants: { publish: undefined, subscribe: [] } }), false)
  // %c in a token is no pattern.
  assert.equal(may(rules, 'publish', 'c1', { grants: { publish: ['%c'], subscribe: [] } }), false)
})

test('explain() names the deciding rule and agrees with what is enforced', () => {
  const rules = rulesFor('alice', [{ filter: 'a/+', allowed: ['publish'], origin: 'permissions.toml:4' }], {
    default: 'deny',
  })
  assert.deepEqual(rules.explain(client(), 'publish', 'a/b'), {
    allowed: true,
    rule: 'permissions.toml:4',
    why: 'permissions.toml:4 allows it: "a/+" allowed publish',
  })
  assert.match(rules.explain(client(), 'subscribe', 'a/#').why, /permissions\.toml:4 denies it/)
  assert.match(rules.explain(client(), 'publish', 'b').why, /no rule matches, and the default is to deny/)
  const pair = fc.tuple(fc.constantFrom('a/b', 'b', 'a/#', '#', 'a/+'), fc.constantFrom<Action>('publish', 'subscribe'))
  fc.assert(
    fc.property(pair, ([text, action]) => {
      if (action === 'publish' && /[+#]/.test(text)) return
      const enforced = action === 'publish' ? rules.mayPublish(client(), text) : rules.maySubscribe(client(), text)
      assert.equal(rules.explain(client(), action, text).allowed, enforced)
    }),
  )
})

test('every problem of the rules is reported at once, and contradictions are problems', () => {
  const bad = {
    default: 'maybe',
    users: new Map<string, unknown>([
      [
        'a',
        {
          topics: [
            { filter: 'a/#/b', allowed: ['publish'] },
            { filter: 'x', allowed: ['publish'], denied: ['publish'] },
          ],
        },
      ],
      [
        'b',
        {
          topics: [
            { filter: 'x', allowed: ['write'] },
            { filter: '$share/g/x', allowed: [] },
          ],
          groups: ['gateway'],
        },
      ],
      ['c', { topic: [] }],
      ['d', { topics: [{ filtre: 'x' }, null] }],
    ]),
    clients: new Map([['a*b', { topics: [] }]]),
    addresses: new Map([['10.0.0.1/8', { topics: [] }]]),
    groups: new Map([['gateways', []]]),
  } as unknown as PermissionOptions
  assert.throws(
    () => new Rules(bad),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'CMQ_PERMISSIONS')
      for (const part of [
        /default must be "allow" or "deny"/,
        /# is not alone in the last level/,
        /both allows and denies "publish"/,
        /allowed may list "publish" and "subscribe", not "write"/,
        /what follows \$share/,
        /there is no group "gateway", did you mean "gateways"\?/,
        /"topic" is unknown, did you mean "topics"\?/,
        /"filtre" is unknown, did you mean "filter"\?/,
        /\* may stand only at the end/,
        /for the range write 10\.0\.0\.0\/8/,
      ]) {
        assert.match(error.message, part)
      }
      return true
    },
  )
})

test('a rule that is never reached is noticed, not refused', () => {
  const { notices } = rulesFor('a', [
    { filter: 'x', allowed: ['publish'] },
    { filter: 'x', allowed: ['subscribe'] },
  ])
  assert.deepEqual(notices, ['users."a".topics[1] is never reached: users."a".topics[0] has the same filter'])
})
