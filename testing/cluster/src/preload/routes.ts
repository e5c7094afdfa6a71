/**
 * Preloaded into a node: what it dials goes through relays. `CONCORDMQ_TEST_ROUTES` is a JSON object of the book's addresses and
 * the relays in their place; books stay equal on all nodes.
 */
import { changeSource } from './change-source.ts'

changeSource({
  file: 'cluster/links/transport.ts',
  from: 'export function splitAddress(address: string): { readonly host: string; readonly port: number } {',
  to: `const routes = JSON.parse(process.env['CONCORDMQ_TEST_ROUTES'] ?? '{}')
export function splitAddress(booked: string): { readonly host: string; readonly port: number } {
  const address = routes[booked] ?? booked`,
})
