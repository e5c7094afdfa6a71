/** `concordmq acl`: asks the permissions file of a directory (`test`); rules for addresses of a running node (`set`, …). */
import { Argument, type Command } from 'commander'
import { defaultDirectory } from '../config/flags.ts'
import { ExitCode } from '../exit-codes.ts'
import { addAddressRules } from './ctl.ts'

interface TestFlags {
  readonly clientId: string
  readonly address: string
  readonly directory: string
}

export function addAcl(program: Command): void {
  const acl = program
    .command('acl')
    .description('ask what permissions.toml allows; rules for addresses of a running node')
  addAddressRules(acl)
  acl
    .command('test')
    .description('print whether a user may do something, and the rule that decides; status 1: denied')
    .argument('<USER>', 'user name; "" is the anonymous client')
    .addArgument(new Argument('<ACTION>', 'publish or subscribe').choices(['publish', 'subscribe'] as const))
    .argument('<TOPIC>', 'topic name, or for subscribe a topic filter')
    .option('-i, --client-id <ID>', 'client identifier, for rules that depend on it', '')
    .option('--address <ADDRESS>', 'network address of the client, for rules that depend on it', '')
    .option('-d, --directory <DIRECTORY>', 'configuration directory', defaultDirectory)
    .action(async (user: string, action: 'publish' | 'subscribe', topic: string, flags: TestFlags) => {
      const { testPermission } = await import('../permissions/test-permission.ts')
      const { clientId, address, directory } = flags
      const { allowed, text } = testPermission({ user, action, topic, clientId, address }, directory)
      process.stdout.write(text)
      if (!allowed) process.exitCode = ExitCode.failed
    })
}
