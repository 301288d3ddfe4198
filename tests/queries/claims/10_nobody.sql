-- A join that finds nobody: the columns and their types come all the same.
SELECT b.desynpuf_id, b.bene_birth_dt, r.srvc_dt, r.tot_rx_cst_amt
FROM claims.beneficiary b
JOIN claims.prescription r ON r.desynpuf_id = b.desynpuf_id
WHERE r.srvc_dt >= DATE '2030-01-01'
