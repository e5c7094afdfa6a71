/** A cluster that is changed while it runs, with real processes: who comes has everything, who goes stops, the rest goes on. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { test } from 'node:test'
import { type Client, type ClientOptions, connect } from '@concordmq/client'
import { at, portOf, run, type Started, start, startNode } from '../program.testkit.ts'

const common = ['--allow-anonymous-login', '--log-level', 'info']

/** Ports that were free a moment ago: nodes must know each other's before they listen. */
async function freeAddresses(n: number): Promise<string[]> {
  const servers: Server[] = []
  for (let i = 0; i < n; i++) {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    servers.push(server)
  }
  const addresses = servers.map((server) => `127.0.0.1:${(server.address() as { port: number }).port}`)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return addresses
}

async function startMembers(addresses: readonly string[]): Promise<Started[]> {
  const made = await run(['address-book', 'from-list', ...addresses, '--operators', '1'])
  assert.equal(made.code, 0, made.stderr)
  const nodes = addresses.map((_, i) => start(memberArgs(i)))
  await Promise.all(nodes.map((node) => node.until(/This node takes clients/)))
  return nodes
}

const memberArgs = (i: number): string[] => [
  ...['run', '-L', '127.0.0.1:0', '--http-addr', '127.0.0.1:0'],
  ...['-f', at('concordmq.d', `key_${i}.pem`), ...common],
]

async function clientOf(
  node: Started,
  clientId: string,
  options: Pick<ClientOptions, 'cleanStart' | 'sessionExpiryInterval' | 'notices'> = {},
): Promise<Client> {
  const port = await portOf(node, 'tcp')
  return await connect(`mqtt://127.0.0.1:${port}`, { clientId, reconnect: false, ...options })
}

/** Subscribes; gives what then comes first, as text. */
async function hear(client: Client, filter: string): Promise<() => Promise<string>> {
  const { promise, resolve } = Promise.withResolvers<string>()
  await client.subscribe(filter, { qos: 1 }, ({ payload }) => resolve(new TextDecoder().decode(payload)))
  return () => promise
}

const ctl = (...args: string[]) => run(['ctl', 'cluster', ...args, '--node', '0'])
const operator = (): string[] => ['--operator-key', at('concordmq.d', 'operator_0.pem')]

test('a fifth node is added, has retained messages, sessions and permissions, and the replaced one stops [row F8]', async () => {
  const addresses = await freeAddresses(5)
  const nodes = await startMembers(addresses.slice(0, 4))
  const publisher = await clientOf(nodes[0] as Started, 'publisher')
  await publisher.publish('kept/value', 'before', { qos: 1, retain: true })
  const session = await clientOf(nodes[1] as Started, 'session', { sessionExpiryInterval: 3600 })
  await session.subscribe('session/#', { qos: 1 }, () => {})
  await session.disconnect()
  await publisher.publish('session/queued', 'while away', { qos: 1 })

  writeFileSync(at('rules.toml'), '[permissions."*"]\ntopic = [{ filter = "secret", denied = ["publish"] }]\n')
  const applied = await ctl('apply', at('rules.toml'), '--as', 'permissions', ...operator())
  assert.equal(applied.code, 0, applied.stderr)

  assert.equal((await run(['address-book', 'key', at('new.pem')])).code, 0)
  const newcomer = ['-f', at('new.pem'), '--cluster-addr', addresses[4] as string, ...common]
  const stranger = await run(['run', '-L', '127.0.0.1:0', ...newcomer])
  assert.notEqual(stranger.code, 0)
  assert.match(stranger.stderr + stranger.stdout, /is not among the 4 keys of the address book .*--join/s)

  const joining = await startNode([...newcomer, '--join', '--control-socket', at('new.sock')])
  const added = await ctl('add', addresses[4] as string, '--key', at('new.pem'), ...operator())
  assert.equal(added.code, 0, added.stderr)
  assert.match(added.stdout, /Epoch 1 began: 5 nodes, of which 1 may fail/)
  await joining.until(/This node takes clients/)

  const reader = await clientOf(joining, 'reader')
  await assert.rejects(reader.publish('secret', 'x', { qos: 1 }), /0x87|not authorized/i)
  assert.equal(await (await hear(reader, 'kept/#'))(), 'before')
  const shown = await run(['ctl', 'sessions', 'show', 'session', '--control-socket', at('new.sock'), '--json'])
  const { queuedMessages, subscriptions } = JSON.parse(shown.stdout) as Record<string, unknown>
  assert.deepEqual({ queuedMessages, subscriptions }, { queuedMessages: 1, subscriptions: 1 })
  const present = Promise.withResolvers<boolean>()
  const resumed = await clientOf(joining, 'session', {
    cleanStart: false,
    notices: { connected: ({ sessionPresent }) => present.resolve(sessionPresent) },
  })
  assert.equal(await present.promise, true)

  // The other way: what is published at the new node reaches a client of an old one.
  const far = await clientOf(nodes[2] as Started, 'far')
  const heard = await hear(far, 'far/#')
  await reader.publish('far/away', 'hello', { qos: 2 })
  assert.equal(await heard(), 'hello')
  assert.match(readFileSync(currentBook(joining), 'utf8'), new RegExp(`The nodes of epoch 1.*${addresses[4]}`, 's'))
  await Promise.all([publisher, reader, resumed, far].map((client) => client.disconnect()))

  const removed = await ctl('remove', '1', ...operator())
  assert.equal(removed.code, 0, removed.stderr)
  assert.match(removed.stdout, /Epoch 2 began: 4 nodes/)
  assert.equal(await (nodes[1] as Started).ended, 0)
  assert.match((nodes[1] as Started).output.stdout, /This node was taken out of the cluster: epoch 2 is without it/)
  // The last one has the free number; it goes on under it.
  await joining.until(/Epoch 2 of the cluster: 4 nodes, this one is node 1[\s\S]*This node takes clients/)
  const last = await clientOf(joining, 'last')
  const first = await clientOf(nodes[0] as Started, 'first')
  const again = await hear(first, 'again/#')
  await last.publish('again/x', 'still one order', { qos: 1 })
  assert.equal(await again(), 'still one order')
  await Promise.all([last.disconnect(), first.disconnect()])
})

test('a node that died is replaced by another under its number, and reads at its return that it is none any more', async () => {
  const addresses = await freeAddresses(5)
  const nodes = await startMembers(addresses.slice(0, 4))
  const publisher = await clientOf(nodes[0] as Started, 'publisher')
  await publisher.publish('kept/value', 'before', { qos: 1, retain: true })
  const dead = nodes[2] as Started
  dead.child.kill('SIGKILL')
  await dead.ended

  assert.equal((await run(['address-book', 'key', at('new.pem')])).code, 0)
  const flags = ['-f', at('new.pem'), '--cluster-addr', addresses[4] as string, ...common, '--join']
  const newcomer = await startNode([...flags, '--control-socket', at('new.sock')])
  const replaced = await ctl('replace', '2', addresses[4] as string, '--key', at('new.pem'), ...operator())
  assert.equal(replaced.code, 0, replaced.stderr)
  assert.match(replaced.stdout, /Epoch 1 began: 4 nodes, of which 1 may fail/)
  await newcomer.until(/Epoch 1 of the cluster: 4 nodes, this one is node 2[\s\S]*This node takes clients/)
  const reader = await clientOf(newcomer, 'reader')
  assert.equal(await (await hear(reader, 'kept/#'))(), 'before')
  const heard = await hear(publisher, 'from/new')
  await reader.publish('from/new', 'hello', { qos: 2 })
  assert.equal(await heard(), 'hello')

  const returned = start(memberArgs(2))
  assert.equal(await returned.ended, 0)
  const said = /This node was taken out of the cluster: epoch 1 is without it/
  assert.match(returned.output.stdout + returned.output.stderr, said)
  assert.doesNotMatch(returned.output.stdout, /This node takes clients/)
  await Promise.all([reader.disconnect(), publisher.disconnect()])
})

/** Where a node says that its data are, and beside them the book of its epoch. */
function currentBook(node: Started): string {
  const [, directory = ''] = /data is kept.* data_dir=(\S+)/.exec(node.output.stdout) ?? []
  return at(directory, 'cluster', 'current-address-book.toml')
}
