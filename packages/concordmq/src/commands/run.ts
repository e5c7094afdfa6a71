/** `concordmq run [DIRECTORY]`: the broker, with the flags of `config/flags.ts`. */
import type { Command } from 'commander'
import { addConfigurationFlags, configFile, defaultDirectory, givenFlags } from '../config/flags.ts'

export function addRun(program: Command): void {
  const command = addConfigurationFlags(program.command('run'))
    .description('run the broker')
    .argument('[DIRECTORY]', 'configuration directory; one made for FoxMQ works unchanged', defaultDirectory)
    .action(async (directory: string, _options, self: Command) => {
      // SIGHUP asks a node to read its files again; one that comes while the node is loaded must not end it.
      process.on('SIGHUP', () => {})
      const { runNode } = await import('../running/run.ts')
      await runNode({
        directory,
        directoryGiven: self.args.length > 0,
        file: configFile(self),
        given: givenFlags(self),
        environment: process.env,
      })
    })
  command.addHelpText(
    'after',
    '\nFlags win over environment (CONCORDMQ_…), environment over concordmq.toml. `config show` tells what is in force.',
  )
}
