import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CommandError } from '../command-error.ts'
import { refusal } from '../refusal.testkit.ts'
import { appendUser, deleteUser, formatUser, parseUsersFile, replaceUser, userNameProblem } from './users-file.ts'

const path = 'users.toml'
const record = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'
const other = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$b3RoZXI'
const anyRecord = (text: string) => (text.startsWith('$argon2id$') ? undefined : 'not an Argon2id record')

const file = `# Who may log in.

[auth]
allow-anonymous-login = false # never

# The fleet.
[users.alice]
password-hash = "${record}"

# Night shift.
[ users . "bob b" ]
# rotated in May
password-hash = '${record}'

[users.carol]
password-hash = "${record}"
`

function names(text: string): string[] {
  return [...parseUsersFile(text, path, anyRecord).users.keys()]
}

test('parseUsersFile() reads users and [auth] [row F15]', () => {
  const read = parseUsersFile(
    `[auth]\nallow-anonymous-login = true\nsilent-connect-errors = true\n${formatUser('myagent', record)}`,
    path,
    anyRecord,
  )
  assert.deepEqual(read, {
    users: new Map([['myagent', record]]),
    scram: new Map(),
    allowAnonymous: true,
    silentConnectErrors: true,
  })
})

test('parseUsersFile() reports every problem and shows no record', () => {
  const text = `[user.x]\n[auth]\nallow-anonymus-login = true\nsilent-connect-errors = "yes"\n[users.a]\npassword = "hunter2"\n[users.b]\npassword-hash = "hunter2"\n`
  const { message } = refusal(() => parseUsersFile(text, path, anyRecord))
  assert.match(message, /5 problems|6 problems/)
  assert.match(message, /"user" is no table of a users file; did you mean "users"\?/)
  assert.match(message, /"allow-anonymus-login" is no key; did you mean "allow-anonymous-login"\?/)
  assert.match(message, /auth\.silent-connect-errors must be true or false/)
  assert.match(message, /users\.a: "password" is no key of a user/)
  assert.match(message, /users\.b: password-hash: not an Argon2id record/)
  assert.doesNotMatch(message, /hunter2/)
})

test('parseUsersFile() names the line of a syntax error and shows nothing of it', () => {
  const { message } = refusal(() => parseUsersFile('[users.a]\npassword-hash = "hunter2\n', path, anyRecord))
  assert.match(message, /users\.toml:2:\d+: not valid TOML/)
  assert.doesNotMatch(message, /hunter2/)
})

test('appendUser() keeps what is there, whatever its end', () => {
  for (const before of ['', file, file.trimEnd(), '# only a comment']) {
    const after = appendUser(before, 'dave', { record, path })
    assert.ok(after.startsWith(before))
    assert.deepEqual(names(after), [...names(before), 'dave'])
  }
})

test('deleteUser() takes the table and leaves comments and all other tables', () => {
  const after = deleteUser(file, 'bob b', path)
  assert.deepEqual(names(after), ['alice', 'carol'])
  for (const kept of ['# Who may log in.', '# never', '# The fleet.', '# Night shift.'])
    assert.ok(after.includes(kept), kept)
  assert.deepEqual(names(deleteUser(deleteUser(after, 'alice', path), 'carol', path)), [])
})

test('replaceUser() changes the record in place', () => {
  const after = replaceUser(file, 'bob b', { record: other, path })
  assert.equal(parseUsersFile(after, path, anyRecord).users.get('bob b'), other)
  assert.deepEqual(names(after), ['alice', 'bob b', 'carol'])
  assert.ok(after.includes('# rotated in May'))
})

test('a form that cannot be edited in the text is refused and named, not broken', () => {
  const inline = `users = { alice = { password-hash = "${record}" } }\n`
  for (const act of [
    () => deleteUser(inline, 'alice', path),
    () => appendUser(inline, 'bob', { record, path }),
    () => replaceUser(inline, 'alice', { record: other, path }),
  ]) {
    assert.match(refusal(act).message, /written in a form this command does not edit|not valid TOML/)
  }
})

test('appendUser() refuses a second table of one name [row F16]', () => {
  refusal(() => appendUser(file, 'alice', { record, path }))
})

test('headers inside multi-line strings and arrays never mislead an edit', () => {
  const text = `note = """\n[users.alice]\npassword-hash = "x"\n"""\n${formatUser('alice', record)}`
  const check = (after: string) => assert.ok(after.startsWith('note = """\n[users.alice]\npassword-hash = "x"\n"""'))
  try {
    check(deleteUser(text, 'alice', path))
  } catch (error) {
    assert.ok(error instanceof CommandError)
  }
})

test('any name survives add, replace and delete, and the rest stays as it was', () => {
  const nameText = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
    .filter((name) => userNameProblem(name) === undefined)
  fc.assert(
    fc.property(fc.uniqueArray(nameText, { minLength: 1, maxLength: 6 }), fc.nat(), (list, pick) => {
      let text = '# top\n'
      for (const name of list) text = appendUser(text, name, { record, path })
      assert.deepEqual(names(text).sort(), [...list].sort())
      const chosen = list[pick % list.length] ?? ''
      text = replaceUser(text, chosen, { record: other, path })
      assert.equal(parseUsersFile(text, path, anyRecord).users.get(chosen), other)
      text = deleteUser(text, chosen, path)
      assert.deepEqual(names(text).sort(), list.filter((name) => name !== chosen).sort())
      assert.ok(text.startsWith('# top\n'))
    }),
    { numRuns: 200 },
  )
})

test('userNameProblem() refuses what cannot be a user name', () => {
  for (const name of ['', 'a\n', 'a\u0000', '\ud800', 'x'.repeat(257)])
    assert.notEqual(userNameProblem(name), undefined)
  for (const name of ['a', 'ä ö', '用户', 'x'.repeat(256)]) assert.equal(userNameProblem(name), undefined)
})
