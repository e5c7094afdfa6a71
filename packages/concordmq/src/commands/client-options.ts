/**
 * Flags that `pub` and `sub` share. They are those of the stock clients, so that fingers and scripts need not relearn: `-h`
 * is the host, help is `--help`. What they mean is in `messaging/client-settings.ts`.
 */
import { type Command, Option } from 'commander'

/** Declares the flags on a command. */
export function withClientFlags(command: Command): Command {
  return command
    .helpOption('--help', 'show this help')
    .option('-h, --host <HOST>', 'server (default: localhost)')
    .option('-p, --port <PORT>', 'port (default: 1883, with TLS 8883)')
    .option('-L, --url <URL>', 'mqtt://, mqtts://, ws:// or wss:// [USER[:PASSWORD]@]HOST[:PORT][/TOPIC]')
    .option('--unix <PATH>', 'connect through a Unix socket')
    .option('-V, --protocol-version <VERSION>', 'mqttv5 (default), mqttv311 or mqttv31; also 5, 4, 311, 3, 31')
    .option('-u, --username <NAME>', 'user name')
    .addOption(
      new Option(
        '-P, --password <PASSWORD>',
        'password; others see it in the process list, the variable they do not',
      ).env('CONCORDMQ_PASSWORD'),
    )
    .option('--password-stdin', 'take the password from the first line of standard input')
    .option('-i, --id <ID>', 'client identifier (default: a random one)')
    .option('-I, --id-prefix <PREFIX>', 'client identifier: this and the process id')
    .option('-k, --keepalive <SECONDS>', 'keep alive (default: 60)')
    .option('-c, --disable-clean-session', 'keep the session on the server; needs -i')
    .option('-x, --session-expiry-interval <SECONDS>', 'how long (5.0); -1: for ever, the default with -c')
    .option('-D, --property <COMMAND NAME VALUE...>', 'a 5.0 property, as in: -D publish user-property key value')
    .option('--will-topic <TOPIC>', 'will: topic')
    .option('--will-payload <PAYLOAD>', 'will: payload')
    .option('--will-qos <QOS>', 'will: QoS')
    .option('--will-retain', 'will: retained')
    .option('--cafile <FILE>', 'authorities to trust (PEM); switches TLS on')
    .option('--cert <FILE>', 'certificate of the client (PEM)')
    .option('--key <FILE>', 'key of the client (PEM)')
    .option('--insecure', 'accept any certificate: for trials only')
    .option('-d, --debug', 'say on standard error what happens')
    .option('--quiet', 'no messages on standard error')
}
