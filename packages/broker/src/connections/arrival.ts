/** A network connection from the moment it was accepted, as the limits see it; `listeners/admission.ts` makes them. */
export interface Arrival {
  /** IP address of the client, or what stands for one; that of the PROXY header, if there was one. */
  readonly address: string
  readonly port: number
  /** Reason code with which its CONNECT is to be refused; 0: none. Set for those that are told why, instead of closed. */
  readonly refusal: number
  /** Its CONNECT came. */
  spoke(): void
  /** Its login failed. */
  failed(login: { readonly clientId: string; readonly username: string | undefined }): void
  /** Whether it comes from a network whose clients are never banned by themselves. */
  readonly exempt: boolean
}
