/** `mosquitto_pub` and `mosquitto_sub` of Debian in all three versions, and over TLS with `openssl s_client` beside them. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { useInteropBroker } from './broker.ts'
import { missing, Running } from './programs.ts'

const made = useInteropBroker()
const versions = ['mqttv31', 'mqttv311', 'mqttv5'] as const
type Version = (typeof versions)[number]

let count = 0
/** At most 23 characters, letters and digits, as 3.1 asks of client identifiers. */
function unique(name: string): string {
  return `${name}${process.pid.toString(36)}n${count++}`
}

function connection(version: Version, more: readonly string[] = []): string[] {
  return ['-h', '127.0.0.1', '-p', `${made.tcp}`, '-V', version, ...more]
}

/** mosquitto_sub with `-d`, once its subscription is granted. */
async function subscribed(args: readonly string[]): Promise<Running> {
  const running = new Running('mosquitto_sub', [...args, '-d', '-W', '20'], { lineBuffered: true })
  await running.until(/^Subscribed \(mid: \d+\): [012]/mu)
  return running
}

/** A subscriber whose messages are lines that begin with `>`. */
function subscriber(version: Version, args: readonly string[]): Promise<Running> {
  return subscribed([...connection(version), '-F', '>%t|%q|%r|%p', ...args])
}

function messages(output: string): string[] {
  return output.split('\n').filter((line) => line.startsWith('>'))
}

async function publish(version: Version, args: readonly string[], input?: string | Uint8Array): Promise<string> {
  return new Running(
    'mosquitto_pub',
    [...connection(version), ...args],
    input === undefined ? {} : { input },
  ).succeeded()
}

describe('mosquitto_pub and mosquitto_sub', {
  skip: missing('mosquitto_pub', 'mosquitto_sub', 'stdbuf'),
  concurrency: 4,
}, () => {
  for (const version of versions) {
    for (const qos of ['0', '1', '2']) {
      test(`${version}, QoS ${qos}: a message reaches subscribers of every version`, async () => {
        const topic = unique('t')
        const subscribers = await Promise.all(
          versions.map((its) => subscriber(its, ['-t', topic, '-q', qos, '-C', '3'])),
        )
        // Three from one connection, a line each.
        await publish(version, ['-t', topic, '-q', qos, '-l'], 'one\ntwo\nthree\n')
        for (const one of subscribers) {
          const expected = ['one', 'two', 'three'].map((payload) => `>${topic}|${qos}|0|${payload}`)
          assert.deepEqual(messages(await one.succeeded()), expected)
        }
      })
    }

    test(`${version}: a retained message is for later subscribers, until an empty one clears it`, async () => {
      const topic = unique('r')
      await publish(version, ['-t', topic, '-q', '1', '-r', '-m', 'kept'])
      const first = await subscriber(version, ['-t', topic, '-q', '1', '-C', '1'])
      assert.deepEqual(messages(await first.succeeded()), [`>${topic}|1|1|kept`])
      await publish(version, ['-t', topic, '-q', '1', '-r', '-n'])
      // What comes first is then the live one.
      const second = await subscriber(version, ['-t', topic, '-q', '1', '-C', '1'])
      await publish(version, ['-t', topic, '-q', '1', '-m', 'live'])
      assert.deepEqual(messages(await second.succeeded()), [`>${topic}|1|0|live`])
    })

    test(`${version}: a killed client's will is published, retained if it says so; one that says goodbye leaves none`, async () => {
      const topic = unique('w')
      const watcher = await subscriber(version, ['-t', `${topic}/#`, '-q', '2', '-C', '2'])
      const will = (name: string): string[] => [
        ...['-t', unique('x'), '--will-topic', `${topic}/${name}`, '--will-payload', 'bye'],
        ...['--will-qos', '2', '--will-retain', '-i', unique('c')],
      ]
      // In 5.0 a signal makes mosquitto_sub ask for its will; the end of -C does not.
      const goodbye = unique('x')
      const polite = await subscriber(version, [...will('polite'), '-t', goodbye, '-C', '1'])
      const killed = await subscriber(version, will('killed'))
      await publish(version, ['-t', goodbye, '-m', 'go'])
      await polite.succeeded()
      await killed.kill('SIGKILL')
      await watcher.until(/killed/u)
      await publish(version, ['-t', `${topic}/end`, '-q', '2', '-m', 'end'])
      assert.deepEqual(messages(await watcher.succeeded()), [`>${topic}/killed|2|0|bye`, `>${topic}/end|2|0|end`])
      const late = await subscriber(version, ['-t', `${topic}/#`, '-C', '1'])
      assert.deepEqual(messages(await late.succeeded()), [`>${topic}/killed|0|1|bye`])
    })

    test(`${version}: a kept session gets what was published while its client was away`, async () => {
      const topic = unique('k')
      const kept = ['-i', unique('c'), '-c', '-t', topic, '-q', '2']
      const first = await subscribed([...connection(version), ...kept])
      await first.kill('SIGTERM')
      await publish(version, ['-t', topic, '-q', '1', '-m', 'one'])
      await publish(version, ['-t', topic, '-q', '2', '-l'], 'two\nthree\n')
      // What was queued may come, and end it, before its subscription is granted again.
      const second = new Running('mosquitto_sub', [
        ...connection(version),
        '-F',
        '>%q|%p',
        '-C',
        '3',
        '-W',
        '20',
        ...kept,
      ])
      assert.deepEqual(messages(await second.succeeded()), ['>1|one', '>2|two', '>2|three'])
    })

    test(`${version}: messages up to 1 MiB arrive as they were`, async () => {
      for (const bytes of [0, 127, 16_384, 1 << 20]) {
        const topic = unique('b')
        const content = randomBytes(bytes)
        const file = join(made.folder, topic)
        writeFileSync(file, content)
        const receiver = await subscribed([...connection(version), '-t', topic, '-q', '1', '-C', '1', '-F', '>%l|%x'])
        await publish(version, ['-t', topic, '-q', '1', ...(bytes === 0 ? ['-n'] : ['-f', file])])
        const [line = ''] = messages(await receiver.succeeded())
        const [, length, hexadecimal = ''] = /^>(\d+)\|([0-9a-f]*)$/u.exec(line) ?? []
        assert.equal(length, `${bytes}`)
        assert.equal(digest(Buffer.from(hexadecimal, 'hex')), digest(content))
      }
    })
  }

  for (const version of ['mqttv311', 'mqttv5'] as const) {
    test(`${version}: each message of a shared subscription goes to one member`, async () => {
      const topic = unique('s')
      const share = unique('g')
      const members = await Promise.all(
        [1, 2].map(() => subscriber(version, ['-t', `$share/${share}/${topic}`, '-q', '1', '-C', '5'])),
      )
      await publish(version, ['-t', topic, '-q', '1', '-l'], Array.from({ length: 10 }, (_, i) => `${i}\n`).join(''))
      const got = await Promise.all(members.map(async (member) => messages(await member.succeeded())))
      assert.deepEqual(
        got.flat().sort(),
        Array.from({ length: 10 }, (_, i) => `>${topic}|1|0|${i}`),
      )
    })
  }

  test('mqttv5: properties travel with a message, and the subscription identifier comes with it', async () => {
    const topic = unique('p')
    const receiver = await subscribed([
      ...connection('mqttv5'),
      ...['-t', topic, '-q', '1', '-C', '1', '-D', 'subscribe', 'subscription-identifier', '7'],
      ...['-F', '>%F|%C|%R|%D|%P|%S|%E|%p'],
    ])
    await publish('mqttv5', [
      ...['-t', topic, '-q', '1', '-m', '{}'],
      ...['-D', 'publish', 'payload-format-indicator', '1', '-D', 'publish', 'content-type', 'application/json'],
      ...['-D', 'publish', 'response-topic', 'answers', '-D', 'publish', 'correlation-data', 'c1'],
      ...['-D', 'publish', 'user-property', 'colour', 'red', '-D', 'publish', 'message-expiry-interval', '100'],
    ])
    const [line = ''] = messages(await receiver.succeeded())
    assert.match(line, /^>1\|application\/json\|answers\|c1\|colour:red\|7\|(99|100)\|\{\}$/u)
  })

  test('mqttv5: a will with a delay is not published when its session is resumed in time', async () => {
    const topic = unique('d')
    const session = ['-i', unique('c'), '-c', '-x', '60', '-t', unique('x')]
    const watcher = await subscriber('mqttv5', ['-t', topic, '-C', '1'])
    const first = await subscribed([
      ...connection('mqttv5'),
      ...session,
      ...['--will-topic', topic, '--will-payload', 'late', '-D', 'will', 'will-delay-interval', '60'],
    ])
    await first.kill('SIGKILL')
    const second = await subscribed([...connection('mqttv5'), ...session])
    await second.kill('SIGTERM')
    await publish('mqttv5', ['-t', topic, '-m', 'end'])
    assert.deepEqual(messages(await watcher.succeeded()), [`>${topic}|0|0|end`])
  })
})

describe('TLS', { skip: missing('mosquitto_pub', 'mosquitto_sub', 'stdbuf', 'openssl'), concurrency: 4 }, () => {
  for (const version of versions) {
    test(`${version}: mosquitto_pub and mosquitto_sub trust the certificate through --cafile`, async () => {
      const topic = unique('t')
      const args = [
        '-h',
        '127.0.0.1',
        '-p',
        `${made.tls}`,
        '-V',
        version,
        '--cafile',
        made.cafile,
        '-t',
        topic,
        '-q',
        '2',
      ]
      const receiver = await subscribed([...args, '-C', '1', '-F', '>%q|%p'])
      await new Running('mosquitto_pub', [...args, '-m', 'private']).succeeded()
      assert.deepEqual(messages(await receiver.succeeded()), ['>2|private'])
    })
  }

  test('a client that does not trust the certificate does not connect', async () => {
    const args = ['-h', '127.0.0.1', '-p', `${made.tls}`, '-t', 't', '-m', 'x', '--tls-use-os-certs']
    const { code, output } = await new Running('mosquitto_pub', args).ended()
    assert.notEqual(code, 0, output)
  })

  for (const protocol of ['-tls1_2', '-tls1_3']) {
    test(`openssl s_client verifies the certificate (${protocol})`, async () => {
      const output = await sClient(protocol, '-CAfile', made.cafile, '-verify_ip', '127.0.0.1').succeeded()
      assert.match(output, /Verify return code: 0 \(ok\)/u)
    })
  }

  test('openssl s_client is refused below TLS 1.2, and refuses a name the certificate does not have', async () => {
    const old = await sClient('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0', '-CAfile', made.cafile).ended()
    assert.notEqual(old.code, 0, old.output)
    const name = await sClient('-tls1_3', '-CAfile', made.cafile, '-verify_hostname', 'example.org').ended()
    assert.notEqual(name.code, 0, name.output)
    assert.match(name.output, /hostname mismatch/iu)
  })
})

function sClient(...args: readonly string[]): Running {
  return new Running('openssl', ['s_client', '-verify_return_error', '-connect', `127.0.0.1:${made.tls}`, ...args], {
    input: '',
  })
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
