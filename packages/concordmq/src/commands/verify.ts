/** `concordmq verify --book address-book.toml proof.json`: checks offline that a message has its position. */
import type { Command } from 'commander'

interface VerifyFlags {
  readonly book: string
  readonly network?: string
  readonly rootCert?: string
  readonly json?: true
}

export function addVerify(program: Command): void {
  program
    .command('verify')
    .description('check offline that a message has its position in the log; says valid, or what is wrong')
    .argument('<FILE>', 'the proof')
    .requiredOption('-b, --book <FILE>', 'the address book that the network began with')
    .option('--network <NAME>', "the network's name, if it has one")
    .option('--root-cert <FILE>', 'its root certificate, if its nodes may join by certificate')
    .option('--json', 'as JSON')
    .action(async (file: string, { book, network, rootCert, json }: VerifyFlags) => {
      const { verifyFile } = await import('../proof/verify-file.ts')
      verifyFile(file, { book, network, rootCert, json: json === true })
    })
}
