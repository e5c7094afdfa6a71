/** `concordmq dev`: a broker to play with, on loopback, with everything switched on and nothing kept. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { parsePort } from '../config/host-port.ts'
import { type LogFormat, logFormats } from '../log/entry.ts'

interface DevFlags {
  readonly port: number
  readonly mqttsPort: number
  readonly websocketsPort: number
  readonly log: LogFormat
}

export function addDev(program: Command): void {
  program
    .command('dev')
    .description('run a throw-away broker on loopback: anonymous login, TLS and WebSocket on, nothing kept')
    .option('-p, --port <PORT>', 'MQTT', readPort, 1883)
    .option('--mqtts-port <PORT>', 'MQTT over TLS', readPort, 8883)
    .option('--websockets-port <PORT>', 'MQTT over WebSocket', readPort, 8080)
    .addOption(new Option('-l, --log <FORMAT>', 'format of log lines').choices(logFormats).default('compact'))
    .action(async (options: DevFlags) => {
      const { runDev } = await import('../running/dev.ts')
      await runDev(options)
    })
}

function readPort(text: string): number {
  const port = parsePort(text)
  if (port === undefined) throw new InvalidArgumentError('A port is a number from 0 to 65535; 0 picks a free one.')
  return port
}
