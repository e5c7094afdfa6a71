/** Mosquitto's decision and that of the rules made of the same lines, over random lists and topics. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterMatches } from '@concordmq/protocol'
import fc from 'fast-check'
import { type AclFile, type AclLine, parseAclFile } from './acl-file.ts'
import { type AclRule, aclRules, intersection } from './acl-rules.ts'
import { noFindings } from './not-carried.ts'

/** As `mosquitto_acl_check_default()` does it. */
function mosquittoAllows({ users, patterns }: AclFile, user: string, action: 'read' | 'write', topic: string): boolean {
  for (const list of [users.get(user) ?? [], patterns]) {
    const matching = list.filter(({ filter }) => filterMatches(filter, topic))
    if (matching.some(({ access }) => access === 'deny')) return false
    if (matching.some(({ access }) => access === 'readwrite' || access === action)) return true
  }
  return false
}

function rulesAllow(rules: readonly AclRule[], action: 'read' | 'write', topic: string): boolean {
  const rule = rules.find(({ filter }) => filterMatches(filter, topic))
  return rule?.allowed.includes(action === 'read' ? 'subscribe' : 'publish') === true
}

const level = fc.constantFrom('a', 'b', 'c')
const topic = fc
  .tuple(fc.constantFrom('', '$'), fc.array(level, { minLength: 1, maxLength: 4 }))
  .map(([dollar, levels]) => dollar + levels.join('/'))
const filter = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '+', '$a'), { minLength: 1, maxLength: 3 }), fc.constantFrom('', '/#', '#'))
  .map(([levels, end]) => (end === '#' ? '#' : levels.join('/') + end))
const line = fc
  .record({ access: fc.constantFrom('read', 'write', 'readwrite', 'deny' as const), filter })
  .map((one) => ({ ...one, place: 'x:1' }) as AclLine)

test('the rules decide as Mosquitto does, for every user, action and topic', () => {
  const lines = fc.array(line, { maxLength: 6 })
  fc.assert(
    fc.property(
      lines,
      lines,
      lines,
      fc.array(topic, { minLength: 1, maxLength: 12 }),
      (alice, anonymous, patterns, topics) => {
        const file: AclFile = {
          users: new Map([
            ['alice', alice],
            ['', anonymous],
          ]),
          patterns,
        }
        const rules = aclRules(file)
        assert.ok(rules !== undefined)
        for (const user of ['alice', '', 'other']) {
          const list: readonly AclRule[] = [...(rules.users.get(user) ?? []), ...rules.patterns]
          for (const one of topics) {
            for (const action of ['read', 'write'] as const) {
              assert.equal(
                rulesAllow(list, action, one),
                mosquittoAllows(file, user, action, one),
                `${user} ${action} ${one}`,
              )
            }
          }
        }
      },
    ),
    { numRuns: 2_000 },
  )
})

test('intersection() is the filter of what both match', () => {
  fc.assert(
    fc.property(filter, filter, fc.array(topic, { minLength: 1, maxLength: 20 }), (a, b, topics) => {
      const both = intersection(a, b)
      for (const one of topics) {
        const expected = filterMatches(a, one) && filterMatches(b, one)
        assert.equal(both !== undefined && filterMatches(both, one), expected, `${a} ∩ ${b} = ${both}: ${one}`)
      }
    }),
    { numRuns: 2_000 },
  )
  assert.equal(intersection('a/#', 'a'), 'a')
  assert.equal(intersection('sensor/%c/#', 'sensor/+/data'), 'sensor/%c/data')
})

test('a right that hangs on the name of a client is said, not guessed', () => {
  const findings = noFindings()
  const text = 'user u\ntopic read dev/x/data\npattern write dev/%c/data\n'
  const rules = aclRules(parseAclFile(text, 'acl', findings))
  assert.equal(rules?.unsaid[0]?.line.place, 'acl:2')
  assert.match(rules?.unsaid[0]?.reason ?? '', /together with acl:3/)
  assert.deepEqual(aclRules(parseAclFile('topic a/#\npattern dev/%c/#\n', 'acl', findings))?.unsaid, [])
})

test('parseAclFile() reads lines as Mosquitto does, and says which it cannot use', () => {
  const findings = noFindings()
  const text = [
    '# comment',
    'topic read $SYS/#',
    'topic a topic with spaces',
    'topic readwrite a topic with spaces',
    'user alice smith',
    'topic plain',
    'topic   deny   secret/#',
    'pattern write sensor/%u/data  ',
    'topic read a/#/b',
    'tpoic read x',
    'user',
    'topic write',
  ].join('\r\n')
  const { users, patterns } = parseAclFile(text, 'acl', findings)
  const short = (lines: readonly AclLine[] = []) => lines.map(({ access, filter: of }) => `${access} ${of}`)
  assert.deepEqual(short(users.get('')), ['read $SYS/#', 'readwrite a topic with spaces', 'readwrite write'])
  assert.deepEqual(short(users.get('alice smith')), ['readwrite plain', 'deny secret/#'])
  assert.deepEqual(short(patterns), ['write sensor/%u/data'])
  assert.deepEqual(
    findings.left.map(({ place }) => place),
    ['acl:3', 'acl:9', 'acl:10', 'acl:11'],
  )
})

test('a list too long to be meant gives up instead of filling the memory', () => {
  // Every read meets every write.
  const wild = (access: 'read' | 'write', count: number): AclLine[] =>
    Array.from({ length: count }, (_, i) => ({
      access,
      filter: access === 'read' ? `${i}/+/#` : `+/${i}/#`,
      place: 'x:1',
    }))
  const rules = (count: number) =>
    aclRules({ users: new Map([['u', [...wild('read', count), ...wild('write', count)]]]), patterns: [] })
  assert.equal(rules(300)?.users.get('u')?.length, 300 * 300 + 600)
  assert.equal(rules(320), undefined)
  assert.equal(rules(10_000), undefined)
})
