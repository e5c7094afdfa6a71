/** A broker of this process with a listener of every kind, and a certificate as `concordmq run --mqtts` makes it. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import type { Broker, BrokerOptions } from '@concordmq/broker'
import { makeCertificate } from '../../packages/concordmq/src/identity/certificate.ts'
import { createRecordedBroker } from '../testkit/src/recorded-broker.ts'

/** Filled before the first test of the file. */
export interface InteropBroker {
  broker: Broker
  tcp: number
  tls: number
  ws: number
  wss: number
  /** Path of the certificate, which is its own authority. */
  cafile: string
  ca: string
  /** Folder for files of the test. */
  folder: string
}

export function useInteropBroker(options: BrokerOptions = {}): InteropBroker {
  const made = {} as InteropBroker
  before(async () => {
    made.folder = mkdtempSync(join(tmpdir(), 'concordmq-interop-'))
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    made.ca = await makeCertificate({
      privateKey,
      serverName: 'concordmq.local',
      boundHosts: ['127.0.0.1'],
      now: new Date(),
    })
    made.cafile = join(made.folder, 'ca.crt')
    writeFileSync(made.cafile, made.ca)
    const tls = { cert: made.ca, key: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string }
    made.broker = await createRecordedBroker({
      access: { allowAnonymous: true },
      sys: { intervalSeconds: 0 },
      ...options,
    })
    const at = { host: '127.0.0.1', port: 0 }
    made.tcp = (await made.broker.listen({ kind: 'tcp', ...at })).port
    made.tls = (await made.broker.listen({ kind: 'tls', tls, ...at })).port
    made.ws = (await made.broker.listen({ kind: 'ws', ...at })).port
    made.wss = (await made.broker.listen({ kind: 'wss', tls, ...at })).port
  })
  after(async () => {
    await made.broker.close({ graceMs: 0 })
    rmSync(made.folder, { recursive: true })
  })
  return made
}
