import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto'
import { test } from 'node:test'
import { pointOf } from '@concordmq/broker'
import { signedBytes } from '@concordmq/consensus'
import { ADMIN_TEXT_BYTES_MAX, adminContent } from '@concordmq/state'
import { commandOf, type DocumentsAnswer, makeDocument, readDocumentFile, signDocumentFile } from './document-file.ts'

const keys = Array.from({ length: 3 }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
const network = '11'.repeat(32)
const answer: DocumentsAnswer = {
  network,
  operators: { threshold: 2, keys: keys.map((key) => Buffer.from(pointOf(createPublicKey(key))).toString('hex')) },
  documents: [],
}
const text = new TextEncoder().encode('default = "deny"\n')
const made = makeDocument(answer, { subject: 'permissions', version: 4, text })

test('operators sign a document one after the other, in any order, and each once', () => {
  let file = made
  for (const i of [2, 0, 2]) file = signDocumentFile(file, keys[i] as KeyObject, `operator_${i}.pem`)
  const { document, signatures } = commandOf(file.command)
  assert.deepEqual(document, { subject: 'permissions', version: 4, text })
  assert.deepEqual(
    signatures.map(({ operator }) => operator),
    [0, 2],
  )
  const signed = signedBytes('admin', Buffer.from(network, 'hex'), adminContent(document))
  for (const { operator, signature } of signatures) {
    const key = createPublicKey(keys[operator] as KeyObject)
    assert.ok(verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature))
  }
})

test('the key of somebody else is refused, and so is a text that is too long', () => {
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  assert.throws(() => signDocumentFile(made, stranger, 'x.pem'), /key x.pem is not that of an operator/)
  const long = new Uint8Array(ADMIN_TEXT_BYTES_MAX + 1)
  assert.throws(() => makeDocument(answer, { subject: 'users', version: 1, text: long }), /a document at most/)
})

test('a document travels as a file; a file of another kind is none, and a damaged one is refused', () => {
  const file = signDocumentFile(made, keys[1] as KeyObject, 'operator_1.pem')
  assert.deepEqual(readDocumentFile(JSON.stringify(file), 'file'), file)
  assert.equal(readDocumentFile('{"format":"concordmq-change/1"}', 'file'), undefined)
  assert.equal(readDocumentFile('no JSON', 'file'), undefined)
  for (const damaged of [
    { ...file, command: 'AAAA' },
    { ...file, network: undefined },
    { ...file, operators: {} },
  ])
    assert.throws(() => readDocumentFile(JSON.stringify(damaged), 'file'), /cannot be read|a part of it is missing/)
})
