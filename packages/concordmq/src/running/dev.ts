/**
 * `concordmq dev`: a node in a throw-away directory, reachable from this machine only. What it prints works pasted into a
 * second terminal. The directory is removed when it ends.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CommandError } from '../command-error.ts'
import type { GivenFlag } from '../config/flags.ts'
import { ExitCode } from '../exit-codes.ts'
import { makeAddressBook } from '../identity/make-address-book.ts'
import type { LogFormat } from '../log/entry.ts'
import { runNode } from './run.ts'
import type { RunningNode } from './serve.ts'

export interface DevOptions {
  readonly port: number
  readonly mqttsPort: number
  readonly websocketsPort: number
  readonly log: LogFormat
}

const host = '127.0.0.1'

export async function runDev(options: DevOptions): Promise<void> {
  await requireFreePorts(options)
  const directory = mkdtempSync(join(tmpdir(), 'concordmq-dev-'))
  const remove = () => rmSync(directory, { recursive: true, force: true })
  // A second Ctrl-C ends the process on the spot.
  process.once('exit', remove)
  try {
    makeAddressBook([`${host}:19793`], { directory, force: false, say: () => {} })
    await runNode(
      // Only what is said here counts: the environment of a real node must not reach a throw-away one.
      {
        directory,
        directoryGiven: true,
        file: undefined,
        given: devFlags(options, directory),
        environment: { RUST_LOG: process.env.RUST_LOG },
        // It ends with the terminal it was started in.
        onHangup: 'stop',
      },
      (node) => process.stdout.write(welcome(node, directory)),
    )
  } finally {
    remove()
    process.off('exit', remove)
  }
}

function devFlags({ port, mqttsPort, websocketsPort, log }: DevOptions, directory: string): GivenFlag[] {
  return [
    { path: 'secret-key-file', flag: 'dev', values: [join(directory, 'key_0.pem')] },
    { path: 'mqtt.addr', flag: 'dev', values: [`${host}:${port}`] },
    { path: 'mqtts.enabled', flag: 'dev', values: true },
    { path: 'mqtts.addr', flag: 'dev', values: [`${host}:${mqttsPort}`] },
    { path: 'websockets.enabled', flag: 'dev', values: true },
    { path: 'websockets.addr', flag: 'dev', values: [`${host}:${websocketsPort}`] },
    { path: 'auth.allow-anonymous-login', flag: 'dev', values: true },
    { path: 'features.direct-messages', flag: 'dev', values: ['prefix'] },
    { path: 'log.format', flag: 'dev', values: [log] },
    { path: 'durability', flag: 'dev', values: ['memory'] },
  ]
}

/** Looked at before anything starts, so that the advice can name every port at once. */
async function requireFreePorts({ port, mqttsPort, websocketsPort }: DevOptions): Promise<void> {
  const wanted = [
    { flag: '--port', port },
    { flag: '--mqtts-port', port: mqttsPort },
    { flag: '--websockets-port', port: websocketsPort },
  ]
  const free = new Set<number>()
  const taken: string[] = []
  const flags: string[] = []
  for (const { flag, port: candidate } of wanted) {
    if (candidate === 0 || (await isFree(candidate))) continue
    let other = candidate + 1
    while (other < 65_535 && (free.has(other) || wanted.some((one) => one.port === other) || !(await isFree(other))))
      other++
    free.add(other)
    taken.push(String(candidate))
    flags.push(`${flag} ${other}`)
  }
  if (taken.length === 0) return
  const which =
    taken.length === 1 ? `Port ${taken[0]} on ${host} is in use` : `Ports ${taken.join(' and ')} on ${host} are in use`
  throw new CommandError(ExitCode.unavailable, `${which}, perhaps by another broker`, {
    remedy: `Stop that program, or run: npx concordmq dev ${flags.join(' ')}`,
  })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

function welcome({ listeners, healthAddress, controlSocket }: RunningNode, directory: string): string {
  const address = (kind: string) => listeners.find((listener) => listener.kind === kind)
  const mqtt = address('tcp')
  const portFlag = mqtt === undefined || mqtt.port === 1883 ? '' : ` -p ${mqtt.port}`
  return `
ConcordMQ is running: one node, everything switched on, anonymous login from this machine only, nothing is kept.

  MQTT       ${mqtt?.address ?? ''}
  TLS        ${address('tls')?.address ?? ''}   (clients trust ${join(directory, 'key_0.crt')})
  WebSocket  ws://${address('ws')?.address ?? ''}
  Health     ${healthAddress === undefined ? 'off' : `http://${healthAddress}/readyz`}
  Control    ${controlSocket === undefined ? 'off' : `npx concordmq ctl state --control-socket ${controlSocket}`}

In a second terminal, in the same folder, subscribe:

  npx concordmq sub${portFlag} -t 'hello/#' -v

In a third, publish:

  npx concordmq pub${portFlag} -t hello/world -m 'Hello!'

Ctrl-C stops it.

`
}
