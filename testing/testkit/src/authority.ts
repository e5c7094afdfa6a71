/** An authority made with openssl, as an operator makes one, and certificates of nodes' keys by it. For tests. */
import { execFileSync } from 'node:child_process'
import { type KeyObject, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const nodeExtensions = ['keyUsage=critical,digitalSignature', 'extendedKeyUsage=serverAuth,clientAuth']

export interface Issued {
  /** Extensions of the certificate, as openssl writes them. Default: those of a node. */
  readonly extensions?: readonly string[]
  /** `YYYYMMDDHHMMSSZ`. Default: from 2020 to 2045. */
  readonly notBefore?: string
  readonly notAfter?: string
  /** Who issues it. Default: the root. */
  readonly by?: Issuer
}

/** A name with its key and certificate, in files. */
export interface Issuer {
  readonly name: string
}

export class Authority {
  readonly directory = mkdtempSync(join(tmpdir(), 'concordmq-authority-'))
  readonly root: X509Certificate

  constructor(name: string) {
    this.#makeKey('root')
    const subject = ['-new', '-x509', '-subj', `/CN=${name}`, '-days', '9000']
    this.#openssl('req', ...subject, '-key', this.path('root.key'), '-out', this.path('root.crt'))
    this.root = this.certificate('root')
  }

  path(file: string): string {
    return join(this.directory, file)
  }

  certificate(name: string): X509Certificate {
    return new X509Certificate(readFileSync(this.path(`${name}.crt`)))
  }

  /** An authority below. */
  issuer(name: string, issued: Issued = {}): Issuer {
    this.#makeKey(name)
    this.#issue(name, { extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign'], ...issued })
    return { name }
  }

  /** The certificate of a key. */
  certify(name: string, key: KeyObject, issued: Issued = {}): X509Certificate {
    writeFileSync(this.path(`${name}.key`), key.export({ format: 'pem', type: 'pkcs8' }))
    this.#issue(name, issued)
    return this.certificate(name)
  }

  remove(): void {
    rmSync(this.directory, { recursive: true })
  }

  #makeKey(name: string): void {
    this.#openssl('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', this.path(`${name}.key`))
  }

  #issue(name: string, issued: Issued): void {
    const { extensions = nodeExtensions, notBefore = '20200101000000Z', notAfter = '20450101000000Z', by } = issued
    const issuer = by?.name ?? 'root'
    const [request, list] = [this.path(`${name}.csr`), this.path(`${name}.ext`)]
    writeFileSync(list, `${extensions.join('\n')}\n`)
    writeFileSync(this.path('index.txt'), '')
    const config = this.path('ca.cnf')
    writeFileSync(config, caConfiguration(this.path('index.txt'), this.directory))
    this.#openssl('req', '-new', '-key', this.path(`${name}.key`), '-subj', `/CN=${name}`, '-out', request)
    const files = ['-cert', this.path(`${issuer}.crt`), '-keyfile', this.path(`${issuer}.key`), '-extfile', list]
    const dates = ['-startdate', notBefore, '-enddate', notAfter]
    this.#openssl(
      'ca',
      '-batch',
      '-notext',
      '-config',
      config,
      ...files,
      ...dates,
      '-in',
      request,
      '-out',
      this.path(`${name}.crt`),
    )
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' })
  }
}

function caConfiguration(database: string, directory: string): string {
  return `[ca]
default_ca = node
[node]
database = ${database}
new_certs_dir = ${directory}
rand_serial = yes
default_md = sha256
unique_subject = no
policy = any
[any]
commonName = supplied
`
}
