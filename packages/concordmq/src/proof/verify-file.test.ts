/** `concordmq verify` as a person starts it, with proofs from a log over two epochs. */
import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { genesisOf } from '@concordmq/broker'
import { proofText } from '@concordmq/consensus'
import { type ProvenLog, type ProvenNode, provenLog, provenNode } from '../../../../testing/testkit/src/proven-log.ts'
import { formatAddressBook } from '../identity/address-book.ts'
import { at, run } from '../program.testkit.ts'

const nodes = [0, 1, 2, 3].map((i) => provenNode(`10.0.0.${i}:19793`))
const log = logOf(nodes)

function entriesOf(of: readonly ProvenNode[]) {
  return of.map(({ privateKey, book }) => ({ publicKey: createPublicKey(privateKey), address: book.address }))
}

function logOf(of: readonly ProvenNode[], network?: string): ProvenLog {
  const genesis = genesisOf(entriesOf(of), network)
  return provenLog(genesis, of, provenNode('10.0.0.9:19793'))
}

function writeBook(of: readonly ProvenNode[], name = 'address-book.toml'): void {
  writeFileSync(at(name), formatAddressBook(entriesOf(of)))
}

test('verify says of a valid proof which message has the position, as text and as JSON', async () => {
  writeBook(nodes)
  const proof = log.prove(log.size - 1)
  writeFileSync(at('proof.json'), proofText(proof))
  const text = await run(['verify', '--book', 'address-book.toml', 'proof.json'])
  assert.equal(text.code, 0, text.stderr)
  assert.match(text.stdout, new RegExp(`^Valid: the message has position ${log.size - 1}\n`, 'u'))
  assert.match(text.stdout, /author {6}node 2 of epoch 1, 10\.0\.0\.2:19793, key /u)
  const json = await run(['verify', '--book', 'address-book.toml', '--json', 'proof.json'])
  const document = JSON.parse(json.stdout) as Record<string, unknown>
  assert.equal(document.valid, true)
  assert.equal(document.position, log.size - 1)
  assert.equal(Buffer.from(document.bytes as string, 'hex').toString(), `message ${proof.seq} of node 2`)
})

test('verify says exactly what is wrong, and ends with 65', async () => {
  writeBook(nodes)
  const text = proofText(log.prove(0))
  const cases: [string, RegExp][] = [
    [text.replace(/"seq": \d+/u, '"seq": 77'), /not valid: message at position 0 has submission number 1\n/u],
    [
      text.replace('"leafIndex": 0', '"leafIndex": 1'),
      /not valid: path from the leaf does not lead to the checkpoint's root/u,
    ],
    [text.slice(0, -20), /not valid: text is not JSON/u],
    [`${text}\n`, /not valid: text is not in the form in which proofs are written/u],
    ['{}', /not valid: "format" is not "concordmq-proof\/1"/u],
  ]
  for (const [content, problem] of cases) {
    writeFileSync(at('proof.json'), content)
    const { code, stdout, stderr } = await run(['verify', '-b', 'address-book.toml', 'proof.json'])
    assert.equal(code, 65)
    assert.equal(stdout, '')
    assert.match(stderr, problem)
  }
})

test('verify takes no proof of another network', async () => {
  const others = [0, 1, 2, 3].map((i) => provenNode(`10.0.0.${i}:19793`))
  writeBook(others, 'others.toml')
  writeBook(nodes)
  writeFileSync(at('proof.json'), proofText(log.prove(0)))
  const { code, stderr } = await run(['verify', '-b', 'others.toml', 'proof.json'])
  assert.equal(code, 65)
  assert.match(stderr, /not valid: network began with another address book or under another name/u)
  writeFileSync(at('lab.json'), proofText(logOf(nodes, 'lab').prove(0)))
  assert.equal((await run(['verify', '-b', 'address-book.toml', 'lab.json'])).code, 65)
  assert.equal((await run(['verify', '-b', 'address-book.toml', '--network', 'lab', 'lab.json'])).code, 0)
})

test('verify refuses what it cannot read', async () => {
  writeBook(nodes)
  assert.equal((await run(['verify', 'proof.json'])).code, 64)
  const missing = await run(['verify', '-b', 'address-book.toml', 'proof.json'])
  assert.equal(missing.code, 78)
  assert.match(missing.stderr, /Cannot read proof\.json: it does not exist/u)
  writeFileSync(at('address-book.toml'), 'addresses = 7')
  const book = await run(['verify', '-b', 'address-book.toml', 'proof.json'])
  assert.equal(book.code, 78)
  assert.match(book.stderr, /Cannot use the address book/u)
})
