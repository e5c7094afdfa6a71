import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rules } from '@concordmq/broker'
import fc from 'fast-check'
import { tomlKey, tomlString } from '../files/parse-toml.ts'
import { refusal } from '../refusal.testkit.ts'
import { parsePermissionsFile } from './permissions-file.ts'

const path = 'permissions.toml'

/** As FoxMQ's documentation writes it. */
const foxmq = `# Only this user may publish commands.
[permissions.alice]
topic = [
  { filter = "commands/#", allowed = ["publish", "subscribe"] },
  # not even he
  { filter = "audit/#", allowed = [], denied = ["publish", "subscribe"] },
]

[permissions."*"]
topic = [{ filter = "commands/#", allowed = ["subscribe"], denied = ["publish"] }]
`

function client(principal: string, clientId = 'c') {
  return { principal, clientId, remoteAddress: '', grants: undefined, rights: undefined }
}

test("FoxMQ's file is read as it is: no match is allowed, denied denies [row F28]", () => {
  const options = parsePermissionsFile(foxmq, path)
  const rules = new Rules(options)
  assert.equal(options.default, 'allow')
  assert.equal(rules.mayPublish(client('alice'), 'commands/x'), true)
  assert.equal(rules.mayPublish(client('alice'), 'audit/x'), false)
  assert.equal(rules.mayReceive(client('alice'), 'audit/x'), false)
  assert.equal(rules.mayPublish(client('bob'), 'commands/x'), false)
  assert.equal(rules.mayReceive(client('bob'), 'commands/x'), true)
  assert.equal(rules.mayPublish(client('bob'), 'other'), true)
  assert.equal(rules.mayPublish(client(''), 'commands/x'), false)
})

test('every rule knows its line', () => {
  const { users } = parsePermissionsFile(foxmq, path)
  assert.deepEqual(
    users?.get('alice')?.topics?.map(({ origin }) => origin),
    ['permissions.toml:4', 'permissions.toml:6'],
  )
  assert.deepEqual(
    users?.get('*')?.topics?.map(({ origin }) => origin),
    ['permissions.toml:10'],
  )
})

test('a rule whose line cannot be told names its place, and never a wrong line', () => {
  for (const [text, origin] of [
    ['permissions = { a = { topic = [{ filter = "x", allowed = [] }] } }', 'permissions.toml: permissions.a.topic[0]'],
    ['[permissions]\na.topic = [{ filter = "x", allowed = [] }]', 'permissions.toml:2'],
    ['[permissions]\na = { topic = [{ filter = "x", allowed = [] }] }', 'permissions.toml:2'],
    ['[[permissions.a.topic]]\nallowed = []\n"filter" = "x"', 'permissions.toml:3'],
    ['permissions.a.topic = [{ filter = """\nx""", allowed = [] }]', 'permissions.toml:1'],
    [
      '[permissions.b]\ntopic = []\n[permissions.a]\ntopic = [{ allowed = [], "filter" = \'filter = "y"\' }] # filter = 1',
      'permissions.toml:4',
    ],
  ] as const) {
    const { users } = parsePermissionsFile(text, path)
    assert.equal(users?.get('a')?.topics?.[0]?.origin, origin, text)
  }
})

test('lines are right whatever names, strings and comments stand around', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }).filter((text) => !text.includes('\u0000'))
  const noise = fc.constantFrom('', '# filter = "x"', '  # [permissions.x]', '\t')
  const filter = fc.constantFrom('a', 'filter', '[x]', '# no comment', '{', 'a = b', '=')
  const tables = fc.uniqueArray(fc.tuple(name, fc.array(fc.tuple(noise, filter), { maxLength: 3 }), fc.boolean()), {
    selector: ([key]) => key,
    minLength: 1,
    maxLength: 5,
  })
  fc.assert(
    fc.property(tables, (list) => {
      const lines: string[] = []
      const expected = new Map<string, string[]>()
      for (const [key, rules, inline] of list) {
        const origins: string[] = []
        if (inline) lines.push(`[permissions.${tomlKey(key)}] # filter`, 'topic = [')
        for (const [comment, text] of rules) {
          lines.push(comment)
          if (inline) lines.push(`{ filter = ${tomlString(text.replace('#', 'h'))}, allowed = ["publish"] },`)
          else
            lines.push(
              `[[permissions.${tomlKey(key)}.topic]]`,
              `allowed = []`,
              `filter = ${tomlString(text.replace('#', 'h'))}`,
            )
          origins.push(`permissions.toml:${lines.length}`)
        }
        if (inline) lines.push(']')
        if (inline || rules.length > 0) expected.set(key, origins)
      }
      const { users } = parsePermissionsFile(`${lines.join('\n')}\n`, path)
      for (const [key, origins] of expected) {
        assert.deepEqual(
          users?.get(key)?.topics?.map(({ origin }) => origin),
          origins,
          lines.join('\n'),
        )
      }
    }),
    { numRuns: 500 },
  )
})

test('groups, client identifiers, addresses, codes and a default go beyond FoxMQ', () => {
  const rules = new Rules(
    parsePermissionsFile(
      `default = "deny"
wider-subscriptions = "narrow"
[permissions.alice]
groups = ["readers"]
[groups.readers]
topic = [{ filter = "news/#", access = 1 }]
[clients."gateway-*"]
topic = [{ filter = "up/%c", access = 2 }, { filter = "x", access = 0 }, { filter = "y", access = 3 }]
[addresses."10.0.0.0/8"]
topic = [{ filter = "z", allowed = ["publish"] }]
`,
      path,
    ),
  )
  assert.equal(rules.mayReceive(client('alice'), 'news/today'), true)
  assert.equal(rules.maySubscribe(client('alice'), '#'), true)
  assert.equal(rules.mayPublish(client('alice'), 'news/today'), false)
  assert.equal(rules.mayPublish(client('bob', 'gateway-1'), 'up/gateway-1'), true)
  assert.equal(rules.mayReceive(client('bob', 'gateway-1'), 'up/gateway-1'), false)
  assert.equal(rules.mayPublish(client('bob', 'gateway-1'), 'x'), false)
  assert.equal(rules.mayReceive(client('bob', 'gateway-1'), 'y'), true)
  assert.equal(rules.mayPublish({ ...client(''), remoteAddress: '10.1.2.3' }, 'z'), true)
})

test('everything wrong with a file is said at once, with lines', () => {
  const { message } = refusal(() =>
    parsePermissionsFile(
      `defualt = "deny"
wider-subscriptions = "wide"
[permissions.a]
topics = []
[permissions.b]
topic = [
  { filter = "x", alowed = ["publish"], denied = [] },
  { filter = 1, allowed = [] },
  { filter = "y" },
  { filter = "y", access = 4 },
  { filter = "y", allowed = "publish" },
  "z",
]
[groups]
g = 1
`,
      path,
    ),
  )
  for (const part of [
    /"defualt" is no key of a permissions file here; did you mean "default"\?/,
    /wider-subscriptions must be "refuse" or "narrow"/,
    /permissions\.a: "topics" is no key .*did you mean "topic"/,
    /permissions\.b\.topic\[0\]: "alowed" is no key .*did you mean "allowed"/,
    /filter must be a topic filter/,
    /the rule for "y" needs allowed, denied or access/,
    /access must be 0 \(nothing\)/,
    /allowed must be a list of texts/,
    /groups\.g must be a table/,
  ]) {
    assert.match(message, part)
  }
  assert.match(
    refusal(() => parsePermissionsFile('[permissions.a]\ntopic = [{ filter = "a/#/b", allowed = [] }]', path)).message,
    /permissions\.toml:2: # is not alone/,
  )
  assert.match(
    refusal(() => parsePermissionsFile('[permissions.a\n', path)).message,
    /permissions\.toml:1:\d+: not valid TOML/,
  )
})
