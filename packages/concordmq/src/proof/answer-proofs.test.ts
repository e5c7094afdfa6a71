import assert from 'node:assert/strict'
import { generateKeyPairSync, hash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createBroker, genesisOf, openClusterNode, settingsDigest } from '@concordmq/broker'
import { connect, type Message } from '@concordmq/client'
import { readProofText, verifyProof } from '@concordmq/consensus'
import { answerProofs, proofTopic } from './answer-proofs.ts'

test('a client asks for a proof over MQTT and gets it alone, or why there is none', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-proofs-'))
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const book = [{ publicKey, address: '127.0.0.1:19793' }]
  const options = { access: { allowAnonymous: true } } as const
  const log = await openClusterNode({
    ...{ book, privateKey, directory, transport: 'tls', settingsDigest: settingsDigest(options) },
    listen: { host: '127.0.0.1', port: 0 },
  })
  const serving = Promise.withResolvers<void>()
  const logger = {
    ...{ error() {}, warn() {}, debug() {}, debugEnabled: false },
    info: ({ event }: { readonly event: string }) => (event === 'order.begun' ? serving.resolve() : undefined),
  }
  const broker = await createBroker({ ...options, logger, cluster: { log } })
  try {
    answerProofs(broker, log)
    await serving.promise
    const { port } = await broker.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 })
    const client = await connect(`mqtt://127.0.0.1:${port}`, { clientId: 'asker', reconnect: false })
    const answers: ((message: Message) => void)[] = []
    await client.subscribe('answers', { qos: 1 }, (message) => answers.shift()?.(message))
    const ask = async (position: string): Promise<Message> => {
      const { promise, resolve } = Promise.withResolvers<Message>()
      answers.push(resolve)
      const properties = { responseTopic: 'answers', correlationData: Buffer.from(position) }
      await client.publish(proofTopic, position, { qos: 1, properties })
      return promise
    }
    const given = await ask('0')
    assert.equal(Buffer.from(given.properties?.correlationData ?? []).toString(), '0')
    const proof = readProofText(new TextDecoder().decode(given.payload))
    assert.ok(proof.ok)
    const verified = verifyProof(genesisOf(book), proof.value, (bytes) => hash('sha256', bytes, 'buffer'))
    assert.ok(verified.ok)
    assert.equal(verified.value.message.position, 0)

    const ahead = await ask('4711')
    assert.deepEqual(ahead.properties?.userProperties, [['concord-error', 'CMQ_PROOF_LATER']])
    assert.match(new TextDecoder().decode(ahead.payload), /Cannot prove position 4711 now: nothing has it yet/)
    const nonsense = await ask('first')
    assert.deepEqual(nonsense.properties?.userProperties, [['concord-error', 'CMQ_MESSAGE']])
    await client.disconnect()
  } finally {
    await broker.close({ graceMs: 0 })
    rmSync(directory, { recursive: true })
  }
})
