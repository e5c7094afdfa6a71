import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { test } from 'node:test'
import {
  accepted,
  answer,
  at,
  connectPacket,
  notAuthorized,
  portOf,
  record,
  startNode,
  writeUsers,
} from '../program.testkit.ts'
import { refusal } from '../refusal.testkit.ts'
import { addressRulesOf, editAddressesFile, parseAddressesFile } from './addresses-file.ts'

const path = 'addresses.toml'

test('the file is read into two lists, and everything wrong with it is said at once', () => {
  const rules = parseAddressesFile('[addresses]\n"10.0.0.0/8" = "deny"\n"::1" = "allow"\n', path)
  assert.deepEqual(addressRulesOf(rules), { allow: ['::1'], deny: ['10.0.0.0/8'] })
  assert.equal(parseAddressesFile('', path).size, 0)
  const { message } = refusal(() =>
    parseAddressesFile(
      '[adresses]\n[addresses]\n"10.0.0.1" = true\nlocalhost = "deny"\n"1.2.3.4" = "deny"\n"::ffff:1.2.3.4" = "allow"\n',
      path,
    ),
  )
  for (const part of [
    /did you mean "addresses"/,
    /"10\.0\.0\.1" must be "allow" or "deny"/,
    /"localhost" is neither/,
    /both allowed and denied/,
  ])
    assert.match(message, part)
})

test('an edit touches one line, and refuses what it cannot do', async () => {
  const file = at(path)
  assert.equal(await editAddressesFile(file, '127.0.0.1', 'deny'), undefined)
  assert.equal(readFileSync(file, 'utf8'), '[addresses]\n"127.0.0.1" = "deny"\n')
  writeFileSync(file, '# ours\n[addresses] # all\n"127.0.0.1" = "deny" # why\n# kept\n')
  assert.equal(await editAddressesFile(file, '::1', 'allow'), undefined)
  assert.equal(await editAddressesFile(file, '127.0.0.1', 'allow'), 'deny')
  assert.equal(
    readFileSync(file, 'utf8'),
    '# ours\n[addresses] # all\n"127.0.0.1" = "allow"\n"::1" = "allow"\n# kept\n',
  )
  assert.equal(await editAddressesFile(file, '127.0.0.1', undefined), 'allow')
  assert.equal(await editAddressesFile(file, '127.0.0.1', undefined), undefined)
  assert.equal(readFileSync(file, 'utf8'), '# ours\n[addresses] # all\n"::1" = "allow"\n# kept\n')
  const before = readFileSync(file, 'utf8')
  await assert.rejects(editAddressesFile(file, 'nowhere', 'deny'), /"nowhere" is neither/)
  await assert.rejects(editAddressesFile(file, '::1/999', 'deny'), /the number behind/)
  assert.equal(readFileSync(file, 'utf8'), before)
  writeFileSync(file, 'addresses = { "::1" = "deny" }\n')
  await assert.rejects(editAddressesFile(file, '::1', 'allow'), /does not edit|not valid TOML/)
})

test('a node takes the file at the start and on SIGHUP: deny, allow, and nothing [row U16]', async () => {
  writeUsers(await record('romeo', 'pw'))
  const file = at('concordmq.d', path)
  writeFileSync(file, '[addresses]\n"127.0.0.1" = "deny"\n')
  const node = await startNode([])
  const port = await portOf(node, 'tcp')
  const login = connectPacket({ name: 'romeo', password: 'pw' })
  assert.equal((await answer(dial(port, '127.0.0.1'), login, 4).catch(() => Buffer.alloc(0))).length, 0)
  const reload = async (text: string, times: number) => {
    writeFileSync(file, text)
    node.child.kill('SIGHUP')
    await node.until(new RegExp(`(read addresses again[\\s\\S]*){${times}}`))
  }
  await reload('[addresses]\n"127.0.0.1" = "allow"\n', 1)
  assert.deepEqual(await answer(dial(port, '127.0.0.1'), connectPacket(), 4), accepted)
  await reload('', 2)
  assert.deepEqual(await answer(dial(port, '127.0.0.1'), connectPacket(), 4), notAuthorized)
  assert.deepEqual(await answer(dial(port, '127.0.0.1'), login, 4), accepted)
  writeFileSync(file, '[addresses]\n"127.0.0.1" = "perhaps"\n')
  node.child.kill('SIGHUP')
  await node.until(/keeping the old addresses/)
  assert.deepEqual(await answer(dial(port, '127.0.0.1'), login, 4), accepted)
})
