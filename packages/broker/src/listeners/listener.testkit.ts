/** What the tests of listeners and transports share: recording sinks, real certificates, a log that can be read back. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import * as x509 from '@peculiar/x509'
import { AddressTable } from '../access/limits/address-table.ts'
import { Bans } from '../access/limits/bans.ts'
import { resolveOptions } from '../config/check.ts'
import type { BrokerOptions, LimitOptions } from '../config/options.ts'
import type { Transport, TransportSink } from '../connections/transport.ts'
import { OwnTally } from '../model/tally.ts'
import { LimitCounters } from '../telemetry/limit-counters.ts'
import type { LogFields, Logger } from '../telemetry/logger.ts'
import { Admission } from './admission.ts'
import type { ListenerDeps } from './deps.ts'

/** Records what a transport says; `next(…)` promises settle when it says it. */
export class RecordingSink implements TransportSink {
  length = 0
  readonly chunks: Uint8Array[] = []
  drains = 0
  closes = 0
  error: Error | undefined
  /** Called with each chunk, after it is recorded. */
  onData: () => void = () => {}
  #waiting: { readonly done: () => boolean; readonly resolve: () => void }[] = []

  lent(chunk: Uint8Array, _carriedBytesMax: number): number {
    this.data(new Uint8Array(chunk))
    return 0
  }

  data(chunk: Uint8Array): void {
    this.chunks.push(chunk)
    this.length += chunk.length
    this.onData()
    this.#check()
  }

  drain(): void {
    this.drains++
    this.#check()
  }

  closed(error: Error | undefined): void {
    this.closes++
    this.error = error
    this.#check()
  }

  /** Resolves when the condition holds; looked at after every call. */
  until(done: (sink: this) => boolean): Promise<void> {
    if (done(this)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ done: () => done(this), resolve }))
  }

  /** All that has arrived. */
  get received(): Buffer {
    return Buffer.concat(this.chunks)
  }

  bytes(count: number): Promise<void> {
    return this.until(() => this.length >= count)
  }

  closedOnce(): Promise<void> {
    return this.until(() => this.closes > 0)
  }

  #check(): void {
    this.#waiting = this.#waiting.filter(({ done, resolve }) => {
      if (!done()) return true
      resolve()
      return false
    })
  }
}

export interface LogLine {
  readonly level: 'error' | 'warn' | 'info' | 'debug'
  readonly fields: LogFields
  readonly message: string
}

/** A logger that keeps its lines. */
export function recordingLogger(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: LogLine['level']) => (fields: LogFields, message: string) =>
    void lines.push({ level, fields, message })
  return { lines, debugEnabled: true, error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') }
}

/** Dependencies whose accepted transports can be awaited in turn, each with a recording sink. */
export function recordingDeps(
  overrides: Partial<ListenerDeps> & { readonly connectionsMax?: number; readonly limits?: LimitOptions } = {},
): ListenerDeps & {
  readonly logger: ReturnType<typeof recordingLogger>
  readonly accepted: Transport[]
  next(): Promise<{ readonly transport: Transport; readonly sink: RecordingSink }>
} {
  const logger = recordingLogger()
  const accepted: Transport[] = []
  const ready: { transport: Transport; sink: RecordingSink }[] = []
  const waiting: ((value: { transport: Transport; sink: RecordingSink }) => void)[] = []
  const { connectionsMax = 1_000, limits, ...rest } = overrides
  const counters = new LimitCounters()
  return {
    packetBytesMax: 65_536,
    silent: () => false,
    counters,
    admission: testAdmission(
      { limits: { connectionsMax, ...limits } },
      { counters, logger, silent: rest.silent ?? (() => false) },
    ).admission,
    accept(transport) {
      const sink = new RecordingSink()
      transport.sink = sink
      accepted.push(transport)
      const taker = waiting.shift()
      if (taker === undefined) ready.push({ transport, sink })
      else taker({ transport, sink })
    },
    ...rest,
    logger,
    accepted,
    next() {
      const first = ready.shift()
      return first !== undefined ? Promise.resolve(first) : new Promise((resolve) => waiting.push(resolve))
    },
  }
}

/** Admission with the limits of a broker, and what it stands on. */
export function testAdmission(
  options: Pick<BrokerOptions, 'limits' | 'bans'>,
  {
    counters,
    logger,
    nowMs = () => performance.now(),
    silent = () => false,
  }: {
    readonly counters: LimitCounters
    readonly logger: Logger
    readonly nowMs?: () => number
    readonly silent?: () => boolean
  },
): { readonly admission: Admission; readonly bans: Bans; readonly addresses: AddressTable } {
  const settings = resolveOptions(options)
  const limits = () => settings.limits
  const bans = new Bans({ limits: () => settings.bans, counters, logger, nowMs })
  const addresses = new AddressTable({ limits, windowMs: () => settings.bans.failuresWindowMs, counters, nowMs })
  return {
    admission: new Admission({
      ...{ limits, addresses, bans, counters, logger, silent, nowMs },
      denies: () => false,
      total: new OwnTally(),
    }),
    bans,
    addresses,
  }
}

export interface TestIdentity {
  readonly cert: string
  readonly key: string
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/** A certificate authority and what it issues, P-256, for `localhost` and 127.0.0.1. */
export async function makeAuthority(name: string): Promise<{
  readonly cert: string
  issue(commonName: string, validity?: { readonly notBefore: Date; readonly notAfter: Date }): Promise<TestIdentity>
}> {
  x509.cryptoProvider.set(webcrypto)
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const now = Date.now()
  const lifetime = { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + 86_400_000) }
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys: keys,
    signingAlgorithm: algorithm,
    ...lifetime,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  })
  return {
    cert: root.toString('pem'),
    async issue(commonName, validity = lifetime) {
      const own = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
      const certificate = await x509.X509CertificateGenerator.create({
        subject: `CN=${commonName}`,
        issuer: root.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        ...validity,
        extensions: [
          new x509.SubjectAlternativeNameExtension([
            { type: 'dns', value: 'localhost' },
            { type: 'ip', value: '127.0.0.1' },
          ]),
        ],
      })
      const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', own.privateKey)
      return { cert: certificate.toString('pem'), key: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY') }
    },
  }
}
