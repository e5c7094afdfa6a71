/** permissions.toml as the program uses it: asked about, enforced, and read again. */
import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { connect } from '../../../../testing/testkit/src/raw-client.ts'
import * as wire from '../../../../testing/testkit/src/wire.ts'
import { at, portOf, run, startNode } from '../program.testkit.ts'

const file = () => at('concordmq.d', 'permissions.toml')

function write(text: string): void {
  mkdirSync(at('concordmq.d'), { recursive: true })
  writeFileSync(file(), text)
}

const onlyHello = `default = "deny"

[permissions."*"]
topic = [
  { filter = "hello/%c", allowed = ["publish", "subscribe"] },
]
`

test('acl test names the deciding rule with file and line, and its status says what it is', async () => {
  write(onlyHello)
  const yes = await run(['acl', 'test', 'alice', 'publish', 'hello/me', '--client-id', 'me'])
  assert.equal(yes.code, 0)
  assert.equal(
    yes.stdout,
    'allowed: user "alice" as client "me" may publish to "hello/me"\n' +
      'concordmq.d/permissions.toml:5 allows it: "hello/%c" allowed publish and subscribe\n',
  )
  const no = await run(['acl', 'test', '', 'subscribe', 'hello/#', '-i', 'me'])
  assert.equal(no.code, 1)
  assert.match(
    no.stdout,
    /^denied: the anonymous client as client "me" may not subscribe to "hello\/#"\n.*default is to deny\n$/,
  )
  assert.equal((await run(['acl', 'test', 'a', 'subscribe', '$share/g/hello/me', '-i', 'me'])).code, 0)
})

test('acl test without a file, with a broken one and with a bad question', async () => {
  const none = await run(['acl', 'test', 'a', 'publish', 'x'])
  assert.equal(none.code, 0)
  assert.match(none.stdout, /there is no concordmq\.d\/permissions\.toml: everything is allowed/)
  assert.equal((await run(['acl', 'test', 'a', 'publish', 'x/#'])).code, 64)
  assert.equal((await run(['acl', 'test', 'a', 'subscribe', 'x/#/y'])).code, 64)
  assert.equal((await run(['acl', 'test', 'a', 'read', 'x'])).code, 64)
  write('[permissions.a]\ntopic = [{ filter = "x", allowed = ["publish"], denied = ["publish"] }]\n')
  const broken = await run(['acl', 'test', 'a', 'publish', 'x'])
  assert.equal(broken.code, 78)
  assert.match(broken.stderr, /permissions\.toml:2: the rule for "x" both allows and denies "publish"/)
})

test('run enforces the file, SIGHUP takes a new one for connected clients, and a broken one changes nothing', async () => {
  write(onlyHello)
  const node = await startNode(['--allow-anonymous-login'])
  const target = { host: '127.0.0.1', port: await portOf(node, 'tcp') }
  const me = await connect(target, 5, { clientId: 'me' })
  me.send(
    wire.subscribe(5, 1, [
      ['hello/me', 1],
      ['other', 0],
    ]),
  )
  assert.deepEqual((await me.expectPacket('SUBACK')).reasons, [1, 0x87])
  me.send(wire.publish(5, 'other', 'x', { qos: 1, id: 2 }))
  await me.expectPacket('PUBACK', { id: 2, reason: 0x87 })
  me.send(wire.publish(5, 'hello/me', 'mine'))
  await me.receive({ payload: 'mine' })

  write('default = "deny"\n[permissions."*"]\ntopic = [{ filter = "other", allowed = ["publish"] }]\n')
  node.child.kill('SIGHUP')
  await node.until(/read permissions again/)
  me.send(wire.publish(5, 'hello/me', 'x', { qos: 1, id: 3 }))
  await me.expectPacket('PUBACK', { id: 3, reason: 0x87 })
  me.send(wire.publish(5, 'other', 'x', { qos: 1, id: 4 }))
  await me.expectPacket('PUBACK', { id: 4, reason: 0x10 })

  write('default = "perhaps"\n')
  node.child.kill('SIGHUP')
  await node.until(/keeping the old permissions.*default must be/)
  me.send(wire.publish(5, 'hello/me', 'x', { qos: 1, id: 5 }))
  await me.expectPacket('PUBACK', { id: 5, reason: 0x87 })

  rmSync(file())
  node.child.kill('SIGHUP')
  await node.until(/read permissions again[\s\S]*read permissions again/)
  me.send(wire.publish(5, 'hello/me', 'open'))
  await me.receive({ payload: 'open' })
})

test('config check counts the tables', async () => {
  write(onlyHello)
  const { stdout } = await run(['config', 'check', '--allow-anonymous-login'])
  assert.match(stdout, /Permissions: 1 table, what no rule matches is denied/)
})
