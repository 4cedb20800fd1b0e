/** The network, as the worker passes the page's requests on to it: the only place here that calls `fetch`. */
export const network = (...asked: Parameters<typeof fetch>): Promise<Response> => fetch(...asked);
