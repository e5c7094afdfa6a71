/**
 * What a node of a cluster is given that cannot be right, by the real program: each is refused with a clear word before anything is
 * served, and never makes a node that runs alone (issue 4, bad input; row F10).
 */
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { freePorts } from '../../../../testing/testkit/src/cluster-process.ts'
import { at, run, start } from '../program.testkit.ts'

const book = (): string => at('concordmq.d', 'address-book.toml')
const key = (i: number): string => at('concordmq.d', `key_${i}.pem`)

async function makeBook(nodes: number): Promise<void> {
  const addresses = (await freePorts(nodes)).map((port) => `127.0.0.1:${port}`)
  const made = await run(['address-book', 'from-list', ...addresses, '--force'])
  assert.equal(made.code, 0, made.stderr)
}

/** Starts a node, which must refuse for this reason, and serve nothing. */
async function refuses(reason: RegExp, flags: readonly string[], env: Record<string, string> = {}): Promise<void> {
  const args = ['run', '-L', '127.0.0.1:0', '--http-addr', 'off', '--allow-anonymous-login', ...flags]
  const { code, stdout, stderr } = await run(args, { env })
  assert.notEqual(code, 0, stdout)
  assert.match(stderr, reason)
  assert.doesNotMatch(stdout, /listening for connections|node is ready|This node takes clients/)
}

test('an address book that cannot be read, is empty or contradicts itself is refused', {
  timeout: 240_000,
}, async () => {
  await makeBook(3)
  const whole = readFileSync(book(), 'utf8')
  const flags = ['-f', key(0)]
  const write = (text: string | Uint8Array): void => writeFileSync(book(), text)
  const cases: readonly (readonly [string | Uint8Array, RegExp])[] = [
    ['', /has no \[\[addresses\]\] entry/],
    ['addresses = 7\n', /"addresses" must be an array of tables/],
    [Uint8Array.of(0xff, 0xfe, 0x00), /is not UTF-8 text/],
    [whole.slice(0, 150), /address-book\.toml/],
    [whole + whole, /entries 0 and 3 have the same key .*entries 2 and 5 have the same addr/s],
    [`${whole}\n[operators]\nthreshold = 2\nkeys = []\n`, /keys must be 1 to 31 public keys/],
  ]
  for (const [text, reason] of cases) {
    write(text)
    await refuses(reason, flags)
  }
  rmSync(book())
  mkdirSync(book())
  await refuses(/Cannot read .*address-book\.toml/, flags)
  rmSync(book(), { recursive: true })
  await refuses(/cluster\.mode is "bft", and there is no address book/, flags, { CONCORDMQ_CLUSTER_MODE: 'bft' })
})

test('a key that is not in the book, none, or one mode too few is refused', { timeout: 120_000 }, async () => {
  await makeBook(2)
  assert.equal((await run(['address-book', 'key', at('other.pem')])).code, 0)
  await refuses(/is not among the 2 keys of the address book/, ['-f', at('other.pem')])
  await refuses(/names 2 nodes, and no secret key is given/, [])
  await refuses(/cluster\.mode is "none", and the address book .* has 2 nodes/, ['-f', key(0)], {
    CONCORDMQ_CLUSTER_MODE: 'none',
  })
  await refuses(/durability is "memory"/, ['-f', key(0), '--durability', 'memory'])
})

test('a node that a book of one entry leaves alone says so', { timeout: 120_000 }, async () => {
  await makeBook(1)
  const node = start(['run', '-L', '127.0.0.1:0', '--http-addr', 'off', '-f', key(0), '--allow-anonymous-login'])
  await node.until(/the address book names this node alone, running as a single node[\s\S]*node is ready/)
})

test('a second node with the key of one that runs is refused', { timeout: 120_000 }, async () => {
  await makeBook(1)
  const env = { CONCORDMQ_CLUSTER_MODE: 'bft' }
  const first = start(['run', '-L', '127.0.0.1:0', '--http-addr', 'off', '-f', key(0), '--allow-anonymous-login'], {
    env,
  })
  await first.until(/This node takes clients/)
  await refuses(/another broker has it open.*\nTwo nodes must not share one key/, ['-f', key(0)], env)
})

test('data of another node, another network, another book, a newer version or a node alone are refused', {
  timeout: 240_000,
}, async () => {
  await makeBook(2)
  const twoBook = readFileSync(book(), 'utf8')
  renameSync(key(0), at('key.pem'))
  const entries = twoBook.split('\n# key_')
  const single = `${entries[0]}\n`
  writeFileSync(book(), single)
  const env = { CONCORDMQ_CLUSTER_MODE: 'bft' }
  const flags = ['-f', at('key.pem')]
  const node = start(['run', '-L', '127.0.0.1:0', '--http-addr', 'off', ...flags, '--allow-anonymous-login'], { env })
  await node.until(/This node takes clients/)
  node.child.kill('SIGTERM')
  await node.ended
  const data = at('concordmq.d', 'data')
  const [name = ''] = readdirSync(data)
  const own = at('concordmq.d', 'data', name)

  await refuses(/belongs to the network "concordmq" .*, this node to "elsewhere"/, flags, {
    ...env,
    CONCORDMQ_CLUSTER_NETWORK: 'elsewhere',
  })
  writeFileSync(book(), twoBook)
  await refuses(/belongs to the network .* The book file of a node stays that with which the network began/, flags, env)
  writeFileSync(book(), single)
  cpSync(own, at('copy'), { recursive: true })
  writeFileSync(book(), twoBook)
  await refuses(/belongs to the node with the key [0-9a-f]{16}, this one has [0-9a-f]{16}/, [
    '-f',
    key(1),
    '--data-dir',
    at('copy'),
  ])
  writeFileSync(book(), single)

  const checked = await run(['data', 'check', '--data-dir', own])
  assert.equal(checked.code, 0, checked.stderr)
  assert.match(
    checked.stdout,
    /node [0-9a-f]{16} of the network "concordmq".*\n.*consensus log: \d+ segments, [1-9]\d* records/,
  )

  const owner = at('copy', 'cluster', 'cluster.json')
  writeFileSync(owner, readFileSync(owner, 'utf8').replace('"format":1', '"format":2'))
  await refuses(/its consensus log has format 2, this version knows up to 1/, [...flags, '--data-dir', at('copy')], env)
  assert.match((await run(['data', 'check', '--data-dir', at('copy')])).stderr, /format 2, this version knows up to 1/)

  rmSync(book())
  await refuses(/belongs to a node of a cluster, and this node would run alone/, flags)
})
