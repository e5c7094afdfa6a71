/** Nodes that join by certificate, with real processes and the keys of FoxMQ (row F8). */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { type Client, connect } from '@concordmq/client'
import { Authority } from '../../../../testing/testkit/src/authority.ts'
import { freePorts } from '../../../../testing/testkit/src/cluster-process.ts'
import { loadKeyFile } from '../identity/secret-key.ts'
import { at, portOf, run, type Started, start, startNode } from '../program.testkit.ts'

const common = ['--allow-anonymous-login', '--log-level', 'info']

async function clientOf(node: Started, clientId: string): Promise<Client> {
  return await connect(`mqtt://127.0.0.1:${await portOf(node, 'tcp')}`, { clientId, reconnect: false })
}

/** A key with its certificate in files; gives the flags of a node that joins with them. */
async function joiner(name: string, address: string, authority: Authority): Promise<string[]> {
  const made = await run(['address-book', 'key', at(`${name}.pem`)])
  assert.equal(made.code, 0, made.stderr)
  const certificate = authority.certify(name, loadKeyFile(at(`${name}.pem`)).privateKey)
  writeFileSync(at(`${name}.crt`), certificate.toString() + authority.root.toString())
  const files = ['-f', at(`${name}.pem`), '--cluster-cert', at(`${name}.crt`), '--control-socket', at(`${name}.sock`)]
  return [...files, '--cluster-addr', address, ...common]
}

test('nodes join one after the other by certificate with the book of the first two, and one of another authority does not [row F8]', {
  timeout: 180_000,
}, async () => {
  const authority = new Authority('Ours')
  const stranger = new Authority('Theirs')
  try {
    const addresses = (await freePorts(5)).map((port) => `127.0.0.1:${port}`)
    assert.equal((await run(['address-book', 'from-list', ...addresses.slice(0, 2)])).code, 0)
    writeFileSync(at('root.pem'), authority.root.toString())
    const root = ['--cluster-root-cert', at('root.pem')]
    const first = await Promise.all(
      [0, 1].map((i) =>
        startNode(['-f', at('concordmq.d', `key_${i}.pem`), ...root, '--cluster-accept-peer-with-cert', ...common]),
      ),
    )
    await Promise.all(first.map((node) => node.until(/This node takes clients/)))
    const joined: Started[] = []
    for (const i of [2, 3]) {
      const node = await startNode([...(await joiner(`node${i}`, addresses[i] as string, authority)), ...root])
      await node.until(/was taken into the cluster by its certificate[\s\S]*This node takes clients/)
      joined.push(node)
    }
    const publisher = await clientOf(first[0] as Started, 'publisher')
    const subscriber = await clientOf(joined[1] as Started, 'subscriber')
    const heard = Promise.withResolvers<string>()
    await subscriber.subscribe('far/#', { qos: 1 }, ({ payload }) => heard.resolve(new TextDecoder().decode(payload)))
    const began = performance.now()
    await publisher.publish('far/away', 'hello', { qos: 1 })
    assert.equal(await heard.promise, 'hello')
    assert.ok(performance.now() - began < 10_000)
    await Promise.all([publisher.disconnect(), subscriber.disconnect()])

    const flags = await joiner('stranger', addresses[4] as string, stranger)
    const refused = start(['run', '-L', '127.0.0.1:0', '--http-addr', 'off', ...flags, ...root])
    await refused.until(/does not take this node in: its chain of certificates leads to "CN=Theirs", which is no root/)
    assert.ok(
      first.some(({ output }) => /Did not take in the node [0-9a-f]{16} .*leads to "CN=Theirs"/.test(output.stdout)),
    )
    assert.doesNotMatch(refused.output.stdout, /This node takes clients/)
  } finally {
    authority.remove()
    stranger.remove()
  }
})

test('what does not fit together about certificates is refused before anything is opened', async () => {
  const authority = new Authority('Ours')
  try {
    const [address = '', own = ''] = (await freePorts(2)).map((port) => `127.0.0.1:${port}`)
    assert.equal((await run(['address-book', 'from-list', address, '127.0.0.1:1'])).code, 0)
    writeFileSync(at('root.pem'), authority.root.toString())
    writeFileSync(at('junk.pem'), 'no certificate')
    mkdirSync(at('empty'))
    const flags = await joiner('new', own, authority)
    const root = ['--cluster-root-cert', at('root.pem')]
    const member = ['-f', at('concordmq.d', 'key_0.pem'), ...common]
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [[...member, '--cluster-accept-peer-with-cert'], /accept-peer-with-cert is given without cluster\.root-cert/],
      [flags, /cluster\.cert is given without cluster\.root-cert/],
      [
        [...flags, ...root, '--cluster-addr', '0.0.0.0:19793'],
        /has to say where the others reach it, and 0\.0\.0\.0:19793/,
      ],
      [[...member, '--cluster-cert', at('new.crt'), ...root], /new\.crt is for another key than .*key_0\.pem/],
      [[...member, '--cluster-root-cert', at('junk.pem')], /junk\.pem is not a certificate in PEM/],
      [[...member, '--cluster-root-cert', at('new.crt')], /"CN=new" is not that of an authority/],
      [
        [...member, ...root, '--cluster-accept-peer-with-cert', '--cluster-transport', 'quic'],
        /newcomers ask over TLS/,
      ],
      [[at('empty'), ...flags, ...root], /there is no address book/],
    ]
    for (const [given, reason] of cases) {
      const { code, stdout, stderr } = await run(['run', ...given])
      assert.notEqual(code, 0)
      assert.match(stdout + stderr, reason)
      assert.doesNotMatch(stdout, /node is ready/)
    }
  } finally {
    authority.remove()
  }
})
